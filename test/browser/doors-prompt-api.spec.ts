import { MODEL, expect, test } from './fixtures.ts'

test('a model is created with progress, prompted, streamed, cloned, and remembers', async ({ doorsPage }) => {
  const found = await doorsPage.evaluate(async (url) => {
    const model = new window.doors.LanguageModel(window.client, url)
    const before = await model.availability()
    const progress: number[] = []
    const creating = model.create({
      topK: 1,
      monitor: (target) =>
        target.addEventListener('downloadprogress', (event) =>
          progress.push((event as ProgressEvent).loaded),
        ),
    })
    await Promise.resolve()
    const session = await creating
    const after = await model.availability()
    const measured = await session.measureContextUsage('a story about a dog')
    const first = await session.prompt('a story about a dog')
    const usage = session.contextUsage
    const copy = await session.clone()
    let streamed = ''
    for await (const piece of session.promptStreaming('another about a cat')) streamed += piece
    const same = await copy.prompt('another about a cat')
    const native = await window.client.generate({
      model: 'stories@2',
      messages: [{ role: 'user', content: 'a story about a dog' }],
      topK: 1,
    })
    const { cachedTokens } = (
      await window.client.generate({
        model: 'stories@2',
        messages: [{ role: 'user', content: 'a story about a dog' }],
        maxTokens: 1,
      })
    ).usage
    return {
      before,
      after,
      progress,
      measured,
      first,
      usage,
      streamed,
      same,
      native: native.text,
      cachedTokens,
    }
  }, MODEL.stories2)
  expect([found.before, found.after]).toEqual(['downloadable', 'available'])
  expect(found.progress[0]).toBe(0)
  expect(found.progress.at(-1)).toBe(1)
  expect(found.progress).toEqual([...found.progress].sort((left, right) => left - right))
  expect(found.first.length).toBeGreaterThan(50)
  expect(found.first).toBe(found.native)
  expect(found.usage).toBeGreaterThan(found.measured)
  expect(found.streamed.length).toBeGreaterThan(50)
  expect(found.same).toBe(found.streamed)
  expect(found.cachedTokens).toBeGreaterThan(0)
})

test('a conversation that grows past the context drops its oldest and says so', async ({ doorsPage }) => {
  const found = await doorsPage.evaluate(async (url) => {
    const session = await new window.doors.LanguageModel(window.client, url).create()
    let overflows = 0
    session.addEventListener('contextoverflow', () => overflows++)
    for (let round = 0; round < 4; round++) await session.append('a long story about a dog '.repeat(25))
    const before = await window.client.stats('stories')
    await session.append('read at once')
    const { computedTokens } = await window.client.stats('stories')
    const numRead = computedTokens - before.computedTokens
    const name = await session.append('word '.repeat(2000)).then(
      () => 'appended',
      (error: Error) => error.name,
    )
    return { overflows, usage: session.contextUsage, window: session.contextWindow, name, numRead }
  }, MODEL.stories1)
  expect(found.overflows).toBeGreaterThan(0)
  expect(found.usage).toBeLessThan(found.window)
  expect(found.name).toBe('QuotaExceededError')
  expect(found.numRead).toBeGreaterThan(0)
})

test("what fails throws the specification's exceptions", async ({ doorsPage }) => {
  const found = await doorsPage.evaluate(async (url) => {
    const model = new window.doors.LanguageModel(window.client, url)
    const session = await model.create()
    const nameOf = (call: Promise<unknown>) =>
      call.then(
        () => 'answered',
        (error: Error) => error.name,
      )
    const abort = new AbortController()
    const aborted = session.prompt('a story', { signal: abort.signal })
    setTimeout(() => abort.abort(), 5)
    const names = {
      aborted: await nameOf(aborted),
      // The turn of the aborted one is over.
      next: await nameOf(session.prompt('a story')),
      constraint: await nameOf(session.prompt('a', { responseConstraint: 'text' })),
      chosen: await session.prompt('yes or no?', { responseConstraint: /(yes|no)/ }),
      picture: await nameOf(session.prompt([{ role: 'user', content: [{ type: 'image', value: 1 }] }])),
      tools: await nameOf(model.create({ tools: [{}] })),
      destroyed: '',
      afterwards: '',
    }
    const running = nameOf(session.prompt('a story'))
    setTimeout(() => session.destroy(), 5)
    names.destroyed = await running
    names.afterwards = await nameOf(session.prompt('a'))
    return {
      names,
      unavailable: await model.availability({ expectedInputs: [{ type: 'image' }] }),
      nowhere: await new window.doors.LanguageModel(window.client, '/nowhere/').availability(),
    }
  }, MODEL.stories1)
  expect(found).toEqual({
    names: {
      aborted: 'AbortError',
      next: 'answered',
      constraint: 'SyntaxError',
      chosen: expect.stringMatching(/^(yes|no)$/),
      picture: 'NotSupportedError',
      tools: 'NotSupportedError',
      destroyed: 'AbortError',
      afterwards: 'InvalidStateError',
    },
    unavailable: 'unavailable',
    nowhere: 'unavailable',
  })
})
