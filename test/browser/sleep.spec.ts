import type { Page } from 'playwright/test'
import { MODEL, expect, test } from './fixtures.ts'
import { giveMortalWorkers } from './mortal-workers.ts'

const ID = 'stories@1'

test.beforeEach(async ({ page }) => {
  await giveMortalWorkers(page)
  await page.evaluate(async (url) => {
    window.client = await window.tabserve.createClient({ worker: window.mortal.make })
    await window.client.load(url)
  }, MODEL.stories1)
})

for (const level of [0, 1, 2] as const)
  test(`level ${level}: a model that was put to sleep and woken gives the same greedy text, and says meanwhile that it sleeps`, async ({
    page,
    context,
  }) => {
    const wanted = await answer(page)
    const awake = await figures(page)
    expect(awake).toMatchObject({ state: 'ready', sleepStates: ['awake'] })

    const health = await page.evaluate(([id, level]) => window.client.sleep(id, { level }), [
      ID,
      level,
    ] as const)
    expect(health).toMatchObject({ state: 'asleep', ready: true, sleep: { level, arriving: 'wait' } })
    expect(health.replicas.map(({ state }) => state)).toEqual(level === 2 ? [] : ['asleep'])
    const asleep = await figures(page)
    expect(asleep).toMatchObject({
      state: 'asleep',
      sleepStates: [['paused', 'weights_offloaded', 'discard_all'][level]],
      levels: [level, level],
    })
    if (level > 0) expect(asleep.kvBytes).toBe(0)
    else expect(asleep.kvBytes).toBe(awake.kvBytes)
    expect(asleep.generatedTokens).toBe(awake.generatedTokens)

    // Level 1 asks the network for nothing at all; a new worker loads its script, but no model.
    if (level < 2) await context.setOffline(true)
    else await context.route('**/*.{json,onnx,data}', (route) => route.abort())
    const wokenIn = await page.evaluate(async (id) => {
      const started = performance.now()
      await window.client.wake(id)
      return performance.now() - started
    }, ID)
    console.log(`awake from level ${level} after ${wokenIn.toFixed(0)} ms`)
    expect(await answer(page)).toEqual(wanted)
    const again = await figures(page)
    expect(again).toMatchObject({ state: 'ready', sleepStates: ['awake'], levels: [undefined, undefined] })
    expect(again.generatedTokens).toBe(2 * awake.generatedTokens)
    expect(await page.evaluate(() => window.mortal.all.length)).toBe(level === 2 ? 2 : 1)
  })

test('requests that arrive meanwhile wait, are refused, or wake the model, as was asked', async ({
  page,
}) => {
  const found = await page.evaluate(async (id) => {
    const { client } = window
    const ask = () => client.generate({ model: id, prompt: 'Once', temperature: 0, maxTokens: 8 })
    const codeOf = (error: unknown) => (error as { code?: string }).code
    const { text } = await ask()

    await client.sleep(id)
    const waiting = ask()
    const late = await client
      .generate({ model: id, prompt: 'Once', queueTimeoutMs: 50 })
      .then(() => 'answered', codeOf)
    const waits = (await client.health()).models[0]?.waiting
    await client.wake(id)
    const waited = (await waiting).text

    await client.sleep(id, { arriving: 'refuse' })
    const refused = await ask().then(() => 'answered', codeOf)
    const scaled = await client.scale(id, 2).then(() => 'scaled', codeOf)

    await client.sleep(id, { level: 2, arriving: 'wake' })
    const woke = (await ask()).text
    const { state, sleep } = (await client.health()).models[0]!
    const wrong = await client.sleep(id, { level: 3 as never }).then(() => 'slept', codeOf)
    return { text, late, waits, waited, refused, scaled, woke, state, sleep, wrong }
  }, ID)
  const { text } = found
  expect(found).toEqual({
    text,
    late: 'timeout',
    waits: 1,
    waited: text,
    refused: 'model_asleep',
    scaled: 'model_asleep',
    woke: text,
    state: 'ready',
    sleep: undefined,
    wrong: 'bad_request',
  })
})

test('requests that run meanwhile end first, end at once, or go on where they were, as was asked', async ({
  page,
}) => {
  const found = await page.evaluate(async (id) => {
    const { client } = window
    const request = { model: id, prompt: 'Once upon a time', ignoreEos: true, maxTokens: 300, temperature: 1 }
    /** A long answer that is in the middle when the model goes to sleep. */
    const ask = async (sleep: () => Promise<unknown>) => {
      const stream = client.generate({ ...request, seed: 5 })
      let slept: Promise<unknown> | undefined
      let numTokens = 0
      for await (const { tokens } of stream) {
        numTokens += tokens.length
        if (numTokens >= 20) slept ??= sleep()
      }
      await slept
      const { text, finishReason, tokens } = await stream
      return { text, finishReason, numTokens: tokens.length }
    }
    const whole = await ask(async () => {})
    const ended = await ask(() => client.sleep(id))
    const afterWait = (await client.health()).models[0]?.state
    await client.wake(id)
    const aborted = await ask(() => client.sleep(id, { running: 'abort' }))
    await client.wake(id)
    const kept: unknown[] = []
    for (const level of [0, 1, 2] as const)
      kept.push(
        await ask(async () => {
          await client.sleep(id, { level, running: 'keep', arriving: 'refuse' })
          while ((await client.health()).models[0]?.waiting !== 1) await new Promise(requestAnimationFrame)
          await client.wake(id)
        }),
      )
    return { whole, ended, afterWait, aborted, kept }
  }, ID)
  const { whole } = found
  expect(whole).toMatchObject({ finishReason: 'length', numTokens: 300 })
  expect(found.ended).toEqual(whole)
  expect(found.afterWait).toBe('asleep')
  expect(found.aborted.finishReason).toBe('abort')
  expect(whole.text.startsWith(found.aborted.text)).toBe(true)
  expect(found.aborted.numTokens).toBeLessThan(300)
  expect(found.kept).toEqual([whole, whole, whole])
})

test('a page that nobody sees puts its models to sleep, answers all the same, and wakes them when it is seen', async ({
  page,
}) => {
  const wanted = await answer(page)
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient({ whenHidden: { sleepAfterMs: 100 } })
    const { id } = await client.load(url)
    let visibility: DocumentVisibilityState = 'visible'
    Object.defineProperty(document, 'visibilityState', { get: () => visibility })
    const become = (state: DocumentVisibilityState) => {
      visibility = state
      document.dispatchEvent(new Event('visibilitychange'))
    }
    const state = async () => (await client.health()).models[0]?.state
    const until = async (wanted: string) => {
      while ((await state()) !== wanted) await new Promise((resolve) => setTimeout(resolve, 20))
    }
    const ask = () => client.generate({ model: id, prompt: 'Once', temperature: 0, maxTokens: 8 })
    const { text } = await ask()

    become('hidden')
    await until('asleep')
    const inBackground = (await ask()).text
    await until('asleep') // and again, as nobody asks any more
    become('visible')
    await until('ready')

    // What the browser says before it freezes a page: there is no time to end anything.
    const long = { model: id, prompt: 'Once upon a time', ignoreEos: true, maxTokens: 300, temperature: 0 }
    const whole = await client.generate(long)
    const running = client.generate(long)
    await running[Symbol.asyncIterator]().next()
    document.dispatchEvent(new Event('freeze'))
    while ((await client.health()).models[0]?.waiting !== 1)
      await new Promise((resolve) => setTimeout(resolve, 5))
    const frozen = await state()
    document.dispatchEvent(new Event('resume'))
    const resumed = await running
    const refused = await window.tabserve
      .createClient({ whenHidden: { sleepAfterMs: 1 }, share: true })
      .catch(({ code }: { code: string }) => code)
    return {
      text,
      inBackground,
      frozen,
      isWhole: resumed.text === whole.text,
      numTokens: resumed.tokens.length,
      refused,
    }
  }, MODEL.stories1)
  expect(wanted[0]).not.toBe('')
  expect(found).toEqual({
    text: found.text,
    inBackground: found.text,
    frozen: 'asleep',
    isWhole: true,
    numTokens: 300,
    refused: 'bad_request',
  })
})

test('a request that comes while its model is just falling asleep wakes it, and nobody else needs to ask', async ({
  page,
}) => {
  const texts = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient()
    const { id } = await client.load(url)
    const texts = []
    for (let round = 0; round < 30; round++) {
      const asleep = client.sleep(id, { level: round % 2 === 0 ? 1 : 2, arriving: 'wake' })
      for (let pauses = round % 10; pauses > 0; pauses--) await new Promise((resolve) => setTimeout(resolve)) // a little later each time
      texts.push((await client.generate({ model: id, prompt: 'Once', temperature: 0, maxTokens: 4 })).text)
      await asleep
    }
    return texts
  }, MODEL.stories1)
  expect(new Set(texts).size).toBe(1)
})

test('a load for which there is no memory puts idle models to sleep and is tried once more, where that was asked for', async ({
  page,
}) => {
  const found = await page.evaluate(
    async ([small, large]) => {
      const script = (text: string) => URL.createObjectURL(new Blob([text], { type: 'text/javascript' }))
      // A machine whose workers together may hold so little that one model fits.
      const patch = script(`
        const grow = WebAssembly.Memory.prototype.grow
        WebAssembly.Memory.prototype.grow = function (pages) {
          if (self.isTight) throw new RangeError('no memory')
          return grow.call(this, pages)
        }
        navigator.locks.query().then(({ held }) => (self.isTight = held.some(({ name }) => name === 'memory')))
        navigator.locks.request('memory', () => new Promise(() => {}))
      `)
      const server = new URL('/tabserve.worker.js', location.href).href
      const entry = script(`import '${patch}'; import '${server}'`)
      const worker = () => new Worker(entry, { type: 'module' })
      const codeOf = (error: unknown) => (error as { code?: string }).code
      const results: unknown[] = []
      for (const whenTight of ['fail', 'sleep-idle'] as const) {
        const client = await window.tabserve.createClient({ worker, whenTight, threads: 1 })
        const first = await client.load(small)
        const second = await client.load(large).then(({ id }) => id, codeOf)
        const states = (await client.health()).models.map(({ id, state }) => [id, state])
        results.push({ first: first.id, second, states })
        client.dispose()
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
      return results
    },
    [MODEL.stories1, MODEL.stories2] as const,
  )
  expect(found).toEqual([
    { first: ID, second: 'memory', states: [[ID, 'ready']] },
    {
      first: ID,
      second: 'stories@2',
      states: [
        [ID, 'asleep'],
        ['stories@2', 'ready'],
      ],
    },
  ])
})

test('a worker that dies while its model sleeps costs nothing: another is there when it wakes', async ({
  page,
}) => {
  const wanted = await answer(page)
  await page.evaluate((id) => window.client.sleep(id), ID)
  await page.evaluate(() => window.mortal.tell(-1, 'die'))
  await expect
    .poll(() => page.evaluate(async () => (await window.client.health()).models[0]?.replicas.length))
    .toBe(0)
  await page.evaluate((id) => window.client.wake(id), ID)
  expect(await answer(page)).toEqual(wanted)
})

test('a model that sleeps can be unloaded and loaded again, and its replicas all wake', async ({ page }) => {
  const found = await page.evaluate(
    async ([id, url]) => {
      const { client } = window
      await client.scale(id, 2)
      const asleep = await client.sleep(id)
      const awake = await client.wake(id)
      await client.sleep(id)
      await client.unload(id)
      await client.load(url)
      const { text } = await client.generate({ model: id, prompt: 'Once', maxTokens: 4 })
      return { asleep, awake, text }
    },
    [ID, MODEL.stories1] as const,
  )
  expect(found.asleep.replicas.map(({ state }) => state)).toEqual(['asleep', 'asleep'])
  expect(found.awake.replicas.map(({ state }) => state)).toEqual(['ready', 'ready'])
  expect(found.text).not.toBe('')
})

function answer(page: Page): Promise<readonly string[]> {
  return page.evaluate((id) => {
    const prompts = ['Once upon a time', 'Tom had a red ball']
    const ask = (prompt: string) =>
      window.client.generate({ model: id, prompt, temperature: 0, ignoreEos: true, maxTokens: 40 })
    return Promise.all(prompts.map(async (prompt) => (await ask(prompt)).text))
  }, ID)
}

/** What describe, health, stats and metrics say. */
function figures(page: Page) {
  return page.evaluate(async (id) => {
    const { client } = window
    const [info, stats, { models }, metrics] = await Promise.all([
      client.describe(id),
      client.stats(id),
      client.health(),
      client.metrics(),
    ])
    const states = metrics.find(({ name }) => name === 'tabserve:engine_sleep_state')?.samples ?? []
    return {
      state: models[0]?.state,
      levels: [info.sleepLevel, stats.sleepLevel],
      sleepStates: states.flatMap(({ labels, value }) => (value === 1 ? labels['sleep_state'] : [])),
      kvBytes: stats.kvBytes,
      generatedTokens: stats.generatedTokens,
    }
  }, ID)
}

test('a session that is being saved or restored when its model falls asleep is saved or restored', async ({
  page,
}) => {
  const found = await page.evaluate(async (id) => {
    const { client } = window
    const session = await client.session({ model: id, temperature: 0, ignoreEos: true })
    const { text } = await session.generate('Once upon a time', { maxTokens: 200 })
    await session.save('first')
    const next = (await session.generate('', { maxTokens: 8 })).text
    const said: string[] = []
    for (let round = 0; round < 5; round++) {
      const other = await client.session({ model: id, temperature: 0, ignoreEos: true })
      await other.generate('Tom', { maxTokens: 200 })
      const moves = [other.save(`other ${round}`), client.sessions.restore('first')] as const
      await client.sleep(id, { level: 1, running: 'keep' })
      await client.wake(id)
      const [, restored] = await Promise.all(moves)
      said.push((await restored.generate('', { maxTokens: 8 })).text)
    }
    return { text, next, said, numSaved: (await client.sessions.list()).length }
  }, ID)
  expect(found.said).toEqual(new Array(5).fill(found.next))
  expect(found.numSaved).toBe(6)
})
