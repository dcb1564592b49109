import { MODEL, expect, test } from './fixtures.ts'
import { giveMortalWorkers } from './mortal-workers.ts'

const PROMPTS = ['Once upon a time', 'Tom had a red ball', 'The dog was sad', 'Lily went to the park']

test.beforeEach(async ({ page }) => {
  await giveMortalWorkers(page)
  await page.evaluate(async (url) => {
    window.client = await window.tabserve.createClient({
      worker: window.mortal.make,
      hangTimeoutMs: 1500,
    })
    await window.client.load(url)
  }, MODEL.stories1)
})

for (const sampling of [{ temperature: 0 }, { temperature: 1, seed: 5 }]) {
  const kind = sampling.temperature === 0 ? 'greedy' : 'seeded'
  test(`a worker that is killed in the middle of four ${kind} streams costs none of them a character`, async ({
    page,
    context,
  }) => {
    await context.route('**/*.{json,onnx,data}', (route) => route.abort()) // the model comes out of the store
    const found = await page.evaluate(
      async ({ prompts, sampling }) => {
        const request = (prompt: string) => ({
          model: 'stories@1',
          prompt,
          ignoreEos: true,
          maxTokens: 300,
          ...sampling,
        })
        const undisturbed = await Promise.all(
          prompts.map((prompt) => window.client.generate(request(prompt))),
        )
        let killedAt = 0
        let recoveryMs = 0
        const disturbed = await Promise.all(
          prompts.map(async (prompt, index) => {
            const stream = window.client.generate(request(prompt))
            let text = ''
            let numTokens = 0
            for await (const delta of stream) {
              if (killedAt > 0 && recoveryMs === 0 && window.mortal.all.length > 1)
                recoveryMs = performance.now() - killedAt
              text += delta.text
              numTokens += delta.tokens.length
              if (index !== 3 || killedAt > 0 || numTokens < 20) continue
              killedAt = performance.now()
              window.mortal.tell(-1, 'die')
            }
            return { text, result: await stream }
          }),
        )
        return { undisturbed, disturbed, recoveryMs, numWorkers: window.mortal.all.length }
      },
      { prompts: PROMPTS, sampling },
    )
    expect(found.numWorkers).toBe(2)
    for (const [index, { text, result }] of found.disturbed.entries()) {
      const whole = found.undisturbed[index]
      expect(text).toBe(whole?.text)
      expect(result.tokens).toEqual(whole?.tokens)
      expect(result.usage).toMatchObject({ promptTokens: whole?.usage.promptTokens, completionTokens: 300 })
      expect(result.finishReason).toBe('length')
    }
    console.log(`recovered after ${found.recoveryMs.toFixed(0)} ms`)
    expect(found.recoveryMs).toBeGreaterThan(0)
    expect(found.recoveryMs).toBeLessThan(10_000)
  })
}

test('an answer that is held to a regular expression goes on in it when its worker dies, with the same text', async ({
  page,
}) => {
  const found = await page.evaluate(async () => {
    const request = {
      model: 'stories@1',
      prompt: 'Once',
      temperature: 1,
      seed: 5,
      maxTokens: 400,
      structuredOutputs: { regex: '([A-Z][a-z]{2,6}, [0-9]{2}; ){20}' },
    }
    const whole = await window.client.generate(request)
    const stream = window.client.generate(request)
    let numTokens = 0
    let isKilled = false
    for await (const { tokens } of stream) {
      numTokens += tokens.length
      if (isKilled || numTokens < 30) continue
      isKilled = true
      window.mortal.tell(-1, 'die')
    }
    const { text, finishReason, tokens } = await stream
    return { whole, text, finishReason, tokens, numWorkers: window.mortal.all.length }
  })
  expect(found.numWorkers).toBe(2)
  expect(found.text.trim()).toMatch(/^([A-Z][a-z]{2,6}, [0-9]{2}; ?){20}$/)
  expect(found.tokens.length).toBeGreaterThan(60)
  expect(found).toMatchObject({
    text: found.whole.text,
    tokens: found.whole.tokens,
    finishReason: found.whole.finishReason,
  })
})

test('a request whose workers die again and again ends in one engine_lost error, and the page goes on', async ({
  page,
}) => {
  const found = await page.evaluate(async () => {
    // Every worker dies as soon as it has said something.
    const stream = window.client.generate({
      model: 'stories@1',
      prompt: 'Once',
      ignoreEos: true,
      maxTokens: 400,
    })
    let killed: Worker | undefined
    let code = 'none'
    try {
      for await (const _ of stream) {
        const worker = window.mortal.all.at(-1)
        if (worker === killed) continue
        killed = worker
        window.mortal.tell(-1, 'die')
      }
    } catch (error) {
      code = (error as { code: string }).code
    }
    const { live } = await window.client.health()
    const { text } = await window.client.generate({ model: 'stories@1', prompt: 'Once', maxTokens: 4 })
    return { code, live, text, numWorkers: window.mortal.all.length }
  })
  expect(found).toMatchObject({ code: 'engine_lost', live: true, numWorkers: 5 })
  expect(found.text).not.toBe('')
})

test('a worker that hangs is told from one that is busy, and replaced', async ({ page }) => {
  const found = await page.evaluate(async () => {
    const request = { model: 'stories@1', prompt: 'Once', temperature: 0, ignoreEos: true, maxTokens: 300 }
    const whole = await window.client.generate(request)
    const started = performance.now()
    // Busy for longer than a worker may hang.
    while (performance.now() - started < 3000)
      await Promise.all(Array.from({ length: 8 }, () => window.client.generate(request)))
    const numWorkersBefore = window.mortal.all.length
    const stream = window.client.generate(request)
    let hungAt = 0
    let text = ''
    for await (const delta of stream) {
      text += delta.text
      if (hungAt > 0) continue
      hungAt = performance.now()
      window.mortal.tell(-1, 'hang')
    }
    const { models } = await window.client.health()
    return { whole: whole.text, text, numWorkersBefore, numWorkers: window.mortal.all.length, models }
  })
  expect(found.numWorkersBefore).toBe(1)
  expect(found.numWorkers).toBe(2)
  expect(found.text).toBe(found.whole)
  expect(found.models).toMatchObject([
    { state: 'ready', ready: true, problem: expect.stringContaining('hung'), replicas: [{ restarts: 1 }] },
  ])
})

test('health says which model is not ready while its worker is replaced, and ready when it is', async ({
  page,
}) => {
  const found = await page.evaluate(async () => {
    const before = await window.client.health()
    window.mortal.tell(-1, 'die')
    let during = before
    while (during.ready) {
      await new Promise((resolve) => setTimeout(resolve, 1))
      during = await window.client.health()
    }
    let after = during
    while (!after.ready) {
      await new Promise((resolve) => setTimeout(resolve, 5))
      after = await window.client.health()
    }
    return { before, during, after }
  })
  expect(found.before).toMatchObject({
    live: true,
    ready: true,
    models: [{ id: 'stories@1', name: 'stories', version: '1', state: 'ready', wanted: 1 }],
  })
  expect(found.during).toMatchObject({ live: true, ready: false, models: [{ state: 'starting' }] })
  expect(found.after).toMatchObject({
    models: [{ state: 'ready', replicas: [{ state: 'ready', restarts: 1 }] }],
  })
})

test('after dispose nothing is replayed', async ({ page }) => {
  const found = await page.evaluate(async () => {
    const running = window.client.generate({ model: 'stories@1', prompt: 'Once', ignoreEos: true })
    for await (const _ of running) {
      window.mortal.tell(-1, 'die')
      window.client.dispose()
      break
    }
    const code = await running.then(
      ({ finishReason }) => finishReason,
      (error: { code: string }) => error.code,
    )
    await new Promise((resolve) => setTimeout(resolve, 300))
    return { code, numWorkers: window.mortal.all.length }
  })
  expect(found).toEqual({ code: 'engine_lost', numWorkers: 1 })
})

test('a request that is cancelled while its worker is replaced ends at once with what it had said', async ({
  page,
}) => {
  const found = await page.evaluate(async () => {
    const stream = window.client.generate({ model: 'stories@1', prompt: 'Once', ignoreEos: true })
    let text = ''
    for await (const delta of stream) {
      text += delta.text
      window.mortal.tell(-1, 'die')
      while ((await window.client.health()).ready) await new Promise((resolve) => setTimeout(resolve, 1))
      break
    }
    const result = await stream
    return { text, result }
  })
  expect(found.result).toMatchObject({ finishReason: 'abort' })
  expect(found.result.text.startsWith(found.text)).toBe(true)
})

test('a model whose worker cannot be started fails typed, and is tried again by the next request and by scale', async ({
  page,
}) => {
  const found = await page.evaluate(async (url) => {
    let isBroken = false
    const client = await window.tabserve.createClient({
      worker: () => (isBroken ? new Worker('nowhere.js', { type: 'module' }) : window.mortal.make()),
    })
    await client.load(url)
    const ask = () =>
      client.generate({ model: 'stories', prompt: 'Once', maxTokens: 3 }).then(
        ({ finishReason }) => finishReason,
        ({ code }: { code: string }) => code,
      )
    await client.scale('stories', 0)
    isBroken = true
    const broken = await ask()
    const up = await client.scale('stories', 1).then(
      () => 'scaled',
      ({ code }: { code: string }) => code,
    )
    const { models } = await client.health()
    isBroken = false
    const mended = await ask()
    return { broken, up, state: models[0]?.state, mended, after: (await client.scale('stories', 1)).state }
  }, MODEL.stories1)
  expect(found).toEqual({
    broken: 'engine_lost',
    up: 'engine_lost',
    state: 'failed',
    mended: 'length',
    after: 'ready',
  })
})

test('a model that had failed is brought back by scale', async ({ page }) => {
  test.slow() // a worker is given up after seven seconds
  const found = await page.evaluate(async (url) => {
    let isBroken = false
    const client = await window.tabserve.createClient({
      worker: () => (isBroken ? new Worker('nowhere.js', { type: 'module' }) : window.mortal.make()),
    })
    await client.load(url)
    isBroken = true
    window.mortal.tell(-1, 'die')
    let health = await client.health()
    while (health.models[0]?.state !== 'failed') {
      await new Promise((resolve) => setTimeout(resolve, 50))
      health = await client.health()
    }
    isBroken = false
    const { state } = await client.scale('stories', 1)
    return { ready: health.ready, live: health.live, state }
  }, MODEL.stories1)
  expect(found).toEqual({ ready: false, live: true, state: 'ready' })
})

test('what may be asked twice is answered by the next worker when the only one dies, and no other is started for it', async ({
  page,
}) => {
  const found = await page.evaluate(async () => {
    const { client, mortal } = window
    const model = 'stories@1'
    const { tokens } = await client
      .tokenize({ model, prompt: 'Once upon a time' })
      .then((tokens) => ({ tokens }))
    mortal.tell(-1, 'die')
    const [again, sessions, stored, deleted, opened] = await Promise.all([
      client.tokenize({ model, prompt: 'Once upon a time' }),
      client.sessions.list(),
      client.models.list(),
      client.sessions.delete('nobody').then(() => 'deleted'),
      client.session({ model }).then((session) => session.generate('Once', { maxTokens: 3 })),
    ])
    const { text } = await client.generate({ model, prompt: 'Once', maxTokens: 3 })
    return {
      tokens,
      again,
      sessions,
      numStored: stored.length,
      deleted,
      opened: opened.text,
      text,
      numWorkers: mortal.all.length,
    }
  })
  expect(found).toMatchObject({
    again: found.tokens,
    sessions: [],
    numStored: 1,
    deleted: 'deleted',
    numWorkers: 2,
  })
  expect(found.opened).not.toBe('')
  expect(found.text).not.toBe('')
})

test('while the next worker is held back, one other is started for all that storage is asked, and becomes the next', async ({
  page,
}) => {
  const found = await page.evaluate(async () => {
    const { client, mortal } = window
    const readyIs = async (wanted: boolean) => {
      while ((await client.health()).ready !== wanted) await new Promise((resolve) => setTimeout(resolve, 1))
    }
    for (const _ of ['replaced at once', 'replaced after a second']) {
      await readyIs(true)
      mortal.tell(-1, 'die')
      await readyIs(false)
    }
    const lists = await Promise.all([1, 2, 3, 4].map(() => client.models.list()))
    const { text } = await client.generate({ model: 'stories@1', prompt: 'Once', maxTokens: 3 })
    return { numStored: lists.map(({ length }) => length), text, numWorkers: mortal.all.length }
  })
  expect(found).toMatchObject({ numStored: [1, 1, 1, 1], numWorkers: 3 })
  expect(found.text).not.toBe('')
})
