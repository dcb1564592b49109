import { MODEL, expect, test } from './fixtures.ts'
import { giveMortalWorkers } from './mortal-workers.ts'

test.beforeEach(async ({ page }) => giveMortalWorkers(page))

test('a model goes from 1 replica to 2, to none and back to 1 under load, and no request is lost', async ({
  page,
}) => {
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient({ worker: window.mortal.make })
    await client.load(url)
    const ask = (index: number) =>
      client.generate({
        model: 'stories@1',
        prompt: `Once upon a time ${index % 8}`,
        temperature: 0,
        ignoreEos: true,
        maxTokens: 60,
      })
    const whole = await Promise.all(Array.from({ length: 8 }, (_, index) => ask(index)))
    let isOver = false
    let numRight = 0
    const failures: string[] = []
    const load = Array.from({ length: 8 }, async (_, index) => {
      while (!isOver) {
        const { text } = await ask(index).then(
          (result) => result,
          ({ code }: { code: string }) => ({ text: (failures.push(code), '') }),
        )
        if (text === whole[index]?.text) numRight++
        else failures.push('another text')
      }
    })
    const steps = []
    for (const replicas of [2, 0, 1]) {
      await new Promise((resolve) => setTimeout(resolve, 300))
      const [started, answered] = [performance.now(), numRight]
      const health = await client.scale('stories', replicas)
      // Under load none is left only until the next request.
      const states = health.replicas.map(({ state }) => state)
      steps.push({ asked: replicas, states, ms: performance.now() - started, answered: numRight - answered })
    }
    await new Promise((resolve) => setTimeout(resolve, 300))
    isOver = true
    await Promise.all(load)
    await new Promise((resolve) => setTimeout(resolve, 50)) // workers say that they are done after they have said it all
    return { steps, failures, numRight, numWorkers: window.mortal.all.length, health: await client.health() }
  }, MODEL.stories1)
  const figures = found.steps.map(
    ({ asked, ms, answered }) => `to ${asked} in ${ms.toFixed(0)} ms, ${answered} answered`,
  )
  console.log(`${figures.join('; ')}; ${found.numRight} in all`)
  expect(found.failures).toEqual([])
  expect(found.numRight).toBeGreaterThan(20)
  expect(found.steps[0]).toMatchObject({ asked: 2, states: ['ready', 'ready'] })
  expect(found.steps[2]).toMatchObject({ asked: 1, states: ['ready'] })
  expect(found.health.models).toMatchObject([{ wanted: 1, replicas: [{ state: 'ready', requests: 0 }] }])
})

test('requests are spread over the replicas, and a conversation stays where its beginning is', async ({
  page,
}) => {
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient()
    await client.load(url, { replicas: 2 })
    const queues: number[][] = []
    const watch = setInterval(
      () =>
        void client
          .health()
          .then(({ models }) => queues.push(models[0]?.replicas.map((r) => r.requests) ?? [])),
      5,
    )
    const ask = (prompt: string) =>
      client.generate({ model: 'stories', prompt, maxTokens: 40, ignoreEos: true })
    await Promise.all(Array.from({ length: 8 }, (_, index) => ask(`Story ${index}`)))
    clearInterval(watch)
    const promptTokens = Array.from({ length: 128 }, (_, index) => 5 + ((index * 7) % 90))
    const cached = []
    for (let turn = 0; turn < 6; turn++) {
      // Somebody else keeps a queue shorter or longer at random.
      const other = ask(`Another ${turn}`)
      const { usage } = await client.generate({
        model: 'stories',
        promptTokens: [...promptTokens, 10 + turn],
        maxTokens: 1,
      })
      cached.push(usage.cachedTokens)
      await other
    }
    return { queues, cached, stats: await client.stats('stories') }
  }, MODEL.stories1)
  expect(found.queues).toContainEqual([4, 4])
  expect(found.cached[0]).toBeLessThan(16)
  for (const cached of found.cached.slice(1)) expect(cached).toBe(128)
  expect(found.stats).toMatchObject({ finished: { length: 8 + 6 + 6 }, rows: 16 })
})

test('a model that nobody asks for goes, and the next request brings it back without the network', async ({
  page,
  context,
}) => {
  const load = () =>
    page.evaluate(async (url) => {
      window.client = await window.tabserve.createClient({ worker: window.mortal.make })
      await window.client.load(url, { idleTimeoutMs: 300 })
    }, MODEL.stories1)
  await load()
  const state = () => page.evaluate(async () => (await window.client.health()).models[0])
  await expect.poll(state).toMatchObject({ state: 'asleep', ready: true, replicas: [] })
  await expect.poll(() => page.workers().length).toBe(0)
  await context.route('**/*.{json,onnx,data}', (route) => route.abort())
  const found = await page.evaluate(async () => {
    const started = performance.now()
    const { tokens, usage } = await window.client.generate({ model: 'stories', prompt: 'Once', maxTokens: 5 })
    return { ms: performance.now() - started, tokens, usage, health: await window.client.health() }
  })
  console.log(`woken and answered within ${found.ms.toFixed(0)} ms`)
  expect(found.tokens).toHaveLength(5)
  expect(found.health.models).toMatchObject([{ state: 'ready' }])
  await expect.poll(state).toMatchObject({ state: 'asleep' })
})

test('a range of replicas follows the number of requests, as far as the memory budget goes', async ({
  page,
}) => {
  const found = await page.evaluate(async (url) => {
    const crowd = async (options: object) => {
      const client = await window.tabserve.createClient(options)
      const {
        kvBytes,
        heapBytes = 0,
        manifest,
      } = await client.load(url, {
        replicas: { min: 1, max: 2 },
        maxRunning: 2,
      })
      const before = (await client.health()).models[0]?.wanted
      const requests = Array.from({ length: 6 }, () =>
        client.generate({ model: 'stories', prompt: 'Once', maxTokens: 200, ignoreEos: true }),
      )
      await Promise.all(requests)
      const during = (await client.health()).models[0]?.wanted
      client.dispose()
      const bytes = kvBytes + manifest.files.reduce((sum, file) => sum + file.bytes, 0)
      return { before, during, bytes: Math.max(heapBytes, bytes) }
    }
    const free = await crowd({})
    return { free, tight: await crowd({ memoryBudgetBytes: 1.5 * free.bytes }) }
  }, MODEL.stories1)
  expect(found.free).toMatchObject({ before: 1, during: 2 })
  expect(found.tight).toMatchObject({ before: 1, during: 1 })
})

test('replicas left to the machine are measured once, as many as win, and describe says why', async ({
  page,
}) => {
  const load = () =>
    page.evaluate(async (url) => {
      const client = (window.client = await window.tabserve.createClient())
      const { split, load } = await client.load(url, { replicas: 'auto' })
      const { text } = await client.generate({ model: 'stories', prompt: 'Once', maxTokens: 5 })
      const [health] = (await client.health()).models
      const described = (await client.describe('stories')).split
      const { generatedTokens } = await client.stats('stories')
      client.dispose()
      return { split, load, text, health, described, generatedTokens, cores: navigator.hardwareConcurrency }
    }, MODEL.stories1)
  const first = await load()
  const { split, health } = first
  console.log(split?.reason)
  expect(first.described).toEqual(split)
  expect(health?.replicas).toEqual(
    Array.from({ length: split?.replicas ?? 0 }, () => expect.objectContaining({ threads: split?.threads })),
  )
  expect(first.load.networkBytes).toBeGreaterThan(0)
  expect(first.generatedTokens).toBe(5) // what was measured is not counted
  if (first.cores === 1) return expect(split?.by).toBe('facts')
  expect(split?.by).toBe('measured')
  for (const { tokensPerSecond } of split!.candidates) expect(tokensPerSecond).toBeGreaterThan(0)
  const [alone, ...others] = split!.candidates.map(({ tokensPerSecond }) => tokensPerSecond!)
  if (split!.replicas > 1) expect(Math.max(...others)).toBeGreaterThanOrEqual(1.05 * alone!)
  const second = await load()
  expect(second.split).toEqual({ ...split, by: 'kept' })
  expect(second.text).not.toBe('')
})

test('a request that waits for a worker can be cancelled and keeps its deadline', async ({ page }) => {
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient()
    await client.load(url)
    await client.scale('stories', 0)
    const abort = new AbortController()
    const cancelled = client.generate({ model: 'stories', prompt: 'Once', signal: abort.signal })
    abort.abort()
    const late = client.generate({ model: 'stories', prompt: 'Once', queueTimeoutMs: 1 }).then(
      () => 'answered',
      ({ code }: { code: string }) => code,
    )
    return { cancelled: (await cancelled).finishReason, late: await late }
  }, MODEL.stories1)
  expect(found).toEqual({ cancelled: 'abort', late: 'timeout' })
})

test('a model is replaced by another of its name and version while its requests go on', async ({ page }) => {
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient()
    await client.load(url)
    const running = client.generate({ model: 'stories', prompt: 'Once', ignoreEos: true, maxTokens: 400 })
    let replaced: Promise<unknown> | undefined
    for await (const _ of running) replaced ??= client.load(url, { maxRunning: 2 })
    await replaced
    const { maxRunning } = await client.describe('stories')
    return { maxRunning, finishReason: (await running).finishReason, list: (await client.list()).length }
  }, MODEL.stories1)
  expect(found).toEqual({ maxRunning: 2, finishReason: 'length', list: 1 })
  await expect.poll(() => page.workers().length).toBe(1)
})

test('unloading ends running requests with one engine_lost, and one worker stays for the next load', async ({
  page,
}) => {
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient({ worker: window.mortal.make })
    await client.load(url, { replicas: 2 })
    const running = client.generate({ model: 'stories', prompt: 'Once', ignoreEos: true })
    let unloaded: Promise<void> | undefined
    let code = 'none'
    try {
      for await (const _ of running) unloaded ??= client.unload('stories')
    } catch (error) {
      code = (error as { code: string }).code
    }
    await unloaded
    const refused = await client.generate({ model: 'stories', prompt: 'Once' }).then(
      () => 'answered',
      ({ code }: { code: string }) => code,
    )
    return { code, refused, list: await client.list(), ready: (await client.health()).ready }
  }, MODEL.stories1)
  expect(found).toEqual({ code: 'engine_lost', refused: 'model_not_loaded', list: [], ready: true })
  await expect.poll(() => page.workers().length).toBe(1)
})

test('scaling down while another is still on its way is no failure, and who waits meanwhile is answered', async ({
  page,
}) => {
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient()
    await client.load(url)
    await client.scale('stories', 0)
    const waiting = client.generate({ model: 'stories', prompt: 'Once', maxTokens: 3 })
    const up = client.scale('stories', 2)
    const down = client.scale('stories', 0)
    await Promise.all([up, down])
    const { tokens } = await waiting
    const { models } = await client.health()
    return { numTokens: tokens.length, problem: models[0]?.problem ?? 'none' }
  }, MODEL.stories1)
  expect(found).toEqual({ numTokens: 3, problem: 'none' })
})
