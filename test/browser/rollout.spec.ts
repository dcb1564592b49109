import type { Page } from 'playwright/test'
import type { FallbackOptions, LoadOptions } from 'tabserve'
import { FakeLlmServer } from '../fake-llm-server.ts'
import { expect, test } from './fixtures.ts'

const STORIES = '/models/stories/'

test('both versions of the bundled model are served at once, by name, version and alias', async ({
  page,
}) => {
  await start(page, ['1', '2'])
  const found = await page.evaluate(async () => {
    const { client } = window
    client.setAlias('chat', { traffic: { 'stories@1': 50, 'stories@2': 50 } })
    const ask = async (model: string, stickyKey?: string) => {
      const request = { model, prompt: 'Once upon a time', temperature: 0, maxTokens: 8 }
      const { text, servedBy } = await client.generate({
        ...request,
        ...(stickyKey === undefined ? {} : { stickyKey }),
      })
      return { text, by: servedBy.model }
    }
    const [one, two, named, ...keyed] = await Promise.all([
      ask('stories@1'),
      ask('stories@2'),
      ask('stories'),
      ...Array.from({ length: 16 }, (_, index) => ask('chat', `user-${index % 8}`)),
    ])
    client.setDefault('stories', '1')
    return {
      one,
      two,
      named,
      keyed,
      byDefault: await ask('stories'),
      described: (await client.describe('stories')).id,
      index: client.index().map(({ id, state, isDefault }) => ({ id, state, isDefault })),
      reports: client.versionReports().filter(({ traffic }) => traffic === 'live'),
    }
  })
  expect(found.one.by).toBe('stories@1')
  expect(found.two.by).toBe('stories@2')
  expect(found.named).toEqual(found.two)
  expect(found.byDefault).toEqual(found.one)
  expect(found.described).toBe('stories@1')
  for (const [index, answer] of found.keyed.entries()) {
    expect(answer).toEqual(answer.by === 'stories@1' ? found.one : found.two)
    expect(answer).toEqual(found.keyed[index % 8]) // the same key, the same version
  }
  expect(new Set(found.keyed.map(({ by }) => by)).size).toBe(2)
  expect(found.index).toEqual([
    { id: 'stories@1', state: 'READY', isDefault: true },
    { id: 'stories@2', state: 'READY', isDefault: false },
  ])
  expect(found.reports.reduce((sum, { requests }) => sum + requests, 0)).toBe(20)
  for (const { errors, ttftMs, interTokenMs } of found.reports) {
    expect(errors).toBe(0)
    expect(ttftMs.p95).toBeGreaterThan(0)
    expect(interTokenMs.p50).toBeGreaterThan(0)
  }
})

test('a canary goes from 10 to 100 % while eight streams run, and none of them fails', async ({ page }) => {
  await start(page, ['1'])
  const found = await page.evaluate(async () => {
    const { client } = window
    client.setAlias('chat', 'stories@1')
    let isOver = false
    const answers: { by: string; text: string; streamed: string; finishReason: string }[] = []
    const failures: string[] = []
    const stream = async (index: number) => {
      for (let turn = 0; !isOver; turn++) {
        try {
          const answer = client.generate({
            model: 'chat',
            prompt: 'Once upon a time',
            maxTokens: 24,
            ignoreEos: true,
            seed: turn,
            stickyKey: `stream-${index}-${turn}`,
          })
          let streamed = ''
          for await (const { text } of answer) streamed += text
          const { servedBy, text, finishReason } = await answer
          answers.push({ by: servedBy.model, text, streamed, finishReason })
        } catch (error) {
          failures.push(String(error))
        }
      }
    }
    const streams = Array.from({ length: 8 }, (_, index) => stream(index))
    const events: string[] = []
    const rollout = await client.rollout({
      alias: 'chat',
      to: 'stories@2',
      steps: [10, 50, 100],
      holdMs: 400,
      guards: { errorRate: 0, minRequests: 4 },
      onEvent: ({ type, weight }) => events.push(`${type} ${weight}`),
    })
    const status = await rollout.finished
    isOver = true
    await Promise.all(streams)
    return { answers, failures, events, status, models: (await client.list()).map(({ id }) => id) }
  })
  expect(found.failures).toEqual([])
  expect(found.status).toMatchObject({ phase: 'succeeded', weight: 100 })
  expect(found.events).toEqual([
    'rollout-warm 0',
    'rollout-step 10',
    'rollout-step 50',
    'rollout-step 100',
    'rollout-promote 100',
    'rollout-finish 100',
  ])
  for (const { text, streamed, finishReason } of found.answers) {
    expect(finishReason).toBe('length')
    expect(streamed).toBe(text)
  }
  expect(new Set(found.answers.map(({ by }) => by))).toEqual(new Set(['stories@1', 'stories@2']))
  expect(found.models).toEqual(['stories@2'])
})

test('a canary that is too slow is rolled back under eight streams, and the old version goes on', async ({
  page,
}) => {
  await start(page, ['1'])
  const found = await page.evaluate(async () => {
    const { client } = window
    client.setAlias('chat', 'stories@1')
    let isOver = false
    const failures: string[] = []
    const stream = async () => {
      while (!isOver)
        await client
          .generate({ model: 'chat', prompt: 'Once', maxTokens: 16, ignoreEos: true })
          .then(undefined, (error) => failures.push(String(error)))
    }
    const streams = Array.from({ length: 8 }, stream)
    const rollout = await client.rollout({
      alias: 'chat',
      to: 'stories@2',
      steps: [50, 100],
      holdMs: 20_000,
      guards: { ttftMs: 0.001, minRequests: 3 }, // nothing is that fast
    })
    const status = await rollout.finished
    isOver = true
    await Promise.all(streams)
    const { servedBy } = await client.generate({ model: 'chat', prompt: 'Once', maxTokens: 2 })
    return { failures, status, servedBy, models: (await client.list()).map(({ id }) => id) }
  })
  expect(found.failures).toEqual([])
  expect(found.status).toMatchObject({
    phase: 'failed',
    reason: expect.stringMatching(/^time to first token: p95/),
  })
  expect(found.servedBy).toEqual({ where: 'local', model: 'stories@1', alias: 'chat' })
  expect(found.models).toEqual(['stories@1'])
})

test('a second version that memory cannot hold is refused before a byte of it is fetched', async ({
  page,
}) => {
  await start(page, ['1'])
  const { kvBytes, heapBytes = 0 } = await page.evaluate(() => window.client.describe('stories@1'))
  await page.evaluate(() => window.client.dispose())
  const requested = watchRequests(page)
  // A megabyte more than the first one takes; the second one's files alone are three.
  await start(page, ['1'], { memoryBudgetBytes: Math.max(heapBytes, kvBytes + 2e6) + 1e6 })
  const error = await page.evaluate(async () => {
    window.client.setAlias('chat', 'stories@1')
    return window.client.rollout({ alias: 'chat', to: 'stories@2' }).then(
      () => undefined,
      ({ code, message }: { code: string; message: string }) => ({ code, message }),
    )
  })
  expect(error).toMatchObject({ code: 'memory', message: expect.stringContaining('stories@2 needs about') })
  expect(requested.filter((url) => url.includes('/v2/'))).toEqual([])
})

test('offline, a model is registered as its index was last seen, and loaded out of the store', async ({
  page,
  context,
}) => {
  await start(page, ['1'])
  await context.setOffline(true)
  const found = await page.evaluate(async (url) => {
    const { client } = window
    client.unregister('stories')
    await client.unload('stories@1')
    const known = client.index().length
    const statuses = await client.register(url)
    const { id } = await client.load('stories@1')
    const { text } = await client.generate({ model: 'stories', prompt: 'Once', maxTokens: 4 })
    return { known, versions: statuses.map(({ version }) => version), id, text }
  }, STORIES)
  expect(found).toMatchObject({ known: 0, versions: ['1', '2'], id: 'stories@1' })
  expect(found.text).not.toBe('')
})

test.describe('a fallback to a server', () => {
  let server: FakeLlmServer
  let fallback: FallbackOptions

  test.beforeEach(async () => {
    server = new FakeLlmServer()
    fallback = { protocol: 'openai', url: `${await server.start()}/v1`, model: 'big' }
  })
  test.afterEach(() => server.stop())

  /** Six requests at once of which two find a place. */
  const crowd = (page: Page) =>
    page.evaluate(async () => {
      const ask = (index: number) =>
        window.client
          .generate({
            model: 'chat',
            messages: [{ role: 'user', content: `Tell me story ${index}.` }],
            maxTokens: 30,
            ignoreEos: true,
          })
          .then(
            ({ servedBy, text }) => ({ servedBy, text, code: undefined }),
            ({ code }: { code: string }) => ({ servedBy: undefined, text: '', code }),
          )
      return Promise.all(Array.from({ length: 6 }, (_, index) => ask(index)))
    })

  test('off, the network sees nothing after the first load, however full the queue', async ({ page }) => {
    await start(page, ['1'], {}, { maxRunning: 1, maxWaiting: 1 })
    const requested = watchRequests(page)
    await page.evaluate(() => window.client.setAlias('chat', 'stories@1'))
    const answers = await crowd(page)
    expect(answers.filter(({ code }) => code === 'queue_full')).toHaveLength(4)
    expect(answers.filter(({ servedBy }) => servedBy?.where === 'local')).toHaveLength(2)
    await page.evaluate(async () => {
      await window.client.unload('stories@1', { drain: true })
      await window.client.load('stories@1')
    })
    expect((await crowd(page)).some(({ servedBy }) => servedBy?.where === 'local')).toBe(true)
    expect(requested).toEqual([])
    expect(server.received).toEqual([])
  })

  test('on, the server gets exactly the requests that the queue had no room for, and streams into the same generation', async ({
    page,
  }) => {
    await start(page, ['1'], {}, { maxRunning: 1, maxWaiting: 1 })
    await page.evaluate((fallback) => {
      window.client.setAlias('chat', { traffic: { 'stories@1': 100 }, fallback })
    }, fallback)
    const answers = await crowd(page)
    const remote = answers.flatMap(({ servedBy }, index) => (servedBy?.where === 'remote' ? [index] : []))
    expect(answers.filter(({ servedBy }) => servedBy?.where === 'local')).toHaveLength(2)
    expect(remote).toHaveLength(4)
    for (const index of remote) {
      expect(answers[index]).toEqual({
        servedBy: { where: 'remote', model: 'big', alias: 'chat', url: fallback.url, reason: 'overload' },
        text: 'Once upon a time',
        code: undefined,
      })
    }
    const asked = server.received.map(({ body }) => JSON.stringify(body['messages']))
    const expected = remote.map((index) =>
      JSON.stringify([{ role: 'user', content: `Tell me story ${index}.` }]),
    )
    expect(asked.sort()).toEqual(expected.sort())
    expect(server.received[0]).toMatchObject({
      path: '/v1/chat/completions',
      body: { model: 'big', max_tokens: 30, stream: true, ignore_eos: true },
    })
    // Alone, a request stays here.
    const alone = await page.evaluate(async () => {
      const answer = window.client.generate({ model: 'chat', prompt: 'Once', maxTokens: 2 })
      return (await answer).servedBy.where
    })
    expect(alone).toBe('local')
    expect(server.received).toHaveLength(4)
    const reported = await page.evaluate(async () => {
      const metrics = await window.client.metrics()
      const counted = metrics.find(({ name }) => name === 'tabserve:remote_requests')
      return { reports: window.client.remoteReports(), samples: counted?.samples }
    })
    expect(reported).toMatchObject({
      reports: [{ alias: 'chat', model: 'big', requests: 4, errors: 0, reasons: { overload: 4 } }],
      samples: [{ labels: { alias: 'chat', reason: 'overload' }, value: 4 }],
    })
  })

  test('a model too large for the budget, or that this device cannot run, is answered for by the server', async ({
    page,
  }) => {
    const askAfterFailedLoad = (fallback: FallbackOptions) =>
      page.evaluate(async (fallback) => {
        const code = await window.client.load('stories@1').then(
          () => 'loaded',
          (error: { code: string }) => error.code,
        )
        window.client.setAlias('chat', { traffic: { 'stories@1': 100 }, fallback })
        const generation = window.client.generate({ model: 'chat', prompt: 'Once', maxTokens: 4 })
        const pieces: string[] = []
        for await (const { text } of generation) pieces.push(text)
        return { code, pieces, servedBy: (await generation).servedBy }
      }, fallback)
    await start(page, [], { memoryBudgetBytes: 1000 })
    expect(await askAfterFailedLoad(fallback)).toMatchObject({
      code: 'memory',
      pieces: ['Once', ' upon', ' a', ' time'],
      servedBy: { where: 'remote', reason: 'model_too_large' },
    })
    await start(page, [], { assets: 'nowhere' }) // as where wasm cannot be had
    expect(await askAfterFailedLoad(fallback)).toMatchObject({
      code: 'backend_failed',
      servedBy: { where: 'remote', reason: 'unsupported_device' },
    })
    expect(server.received.map(({ path }) => path)).toEqual(['/v1/completions', '/v1/completions'])
  })
})

/** A client that has registered the bundled model and loaded some of its versions. */
async function start(
  page: Page,
  versions: readonly string[],
  { memoryBudgetBytes, assets }: { memoryBudgetBytes?: number; assets?: 'nowhere' } = {},
  load: LoadOptions = {},
): Promise<void> {
  await page.evaluate(
    async ({ url, versions, memoryBudgetBytes, assets, load }) => {
      const gone = '/gone.wasm'
      const onnxruntime = { mjs: '/gone.mjs', wasm: gone }
      const webgpu = { jspi: onnxruntime, asyncify: onnxruntime }
      const kernels = { plain: gone, relaxed: gone, 'plain-threads': gone, 'relaxed-threads': gone }
      window.client = await window.tabserve.createClient({
        ...(memoryBudgetBytes === undefined ? {} : { memoryBudgetBytes }),
        ...(assets === undefined
          ? {}
          : {
              assets: { ...onnxruntime, webgpu, kernels, grammar: gone, converter: gone, transformers: gone },
            }),
      })
      await window.client.register(url)
      for (const version of versions) await window.client.load(`stories@${version}`, load)
    },
    { url: STORIES, versions, memoryBudgetBytes, assets, load },
  )
}

/** Everything that the page or its workers ask the network for from now on. */
function watchRequests(page: Page): string[] {
  const requested: string[] = []
  page.context().on('request', (request) => requested.push(request.url()))
  return requested
}
