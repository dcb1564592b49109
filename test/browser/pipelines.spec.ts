import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Page } from 'playwright/test'
import { readWave } from '../tasks/wave.ts'
import { NO_SHARED, SHARED, expect, hasShared, test } from './fixtures.ts'

const TEXT = 'the cat sat on a mat. paris is far. this is about food and travel'
const EMBEDDER = '/fixtures/tasks/embedder/'

/** A client over the worker file that a page would own, as `window.client`; `window.heard` is everything that any worker says to the page. */
async function openOwn(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const heard: unknown[] = []
    Object.assign(window, { heard })
    for (const target of [MessagePort.prototype, Worker.prototype]) {
      const { set } = Object.getOwnPropertyDescriptor(target, 'onmessage') ?? {}
      Object.defineProperty(target, 'onmessage', {
        set(listener: ((event: MessageEvent) => void) | null) {
          set?.call(
            this,
            listener && ((event: MessageEvent) => (heard.push(event.data), listener.call(this, event))),
          )
        },
      })
    }
    const listen = EventTarget.prototype.addEventListener
    EventTarget.prototype.addEventListener = function (type: string, listener: never, options: never) {
      if (type === 'message')
        listen.call(this, type, (event) => void heard.push((event as MessageEvent).data))
      listen.call(this, type, listener, options)
    }
    window.client.dispose()
    window.client = await window.doors.createClient({ worker: window.doors.pipelineWorker, threads: 1 })
  })
}

/** Float32Arrays and texts that the page has heard since the last look. */
function heard(page: Page): Promise<{ readonly vectors: number; readonly texts: string }> {
  return page.evaluate(() => {
    const all = (window as unknown as { heard: unknown[] }).heard.splice(0)
    let vectors = 0
    const look = (value: unknown): void => {
      if (value instanceof Float32Array) vectors++
      else if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value))
        Object.values(value).forEach(look)
    }
    all.forEach(look)
    return {
      vectors,
      texts: JSON.stringify(all, (_, value: unknown) => (ArrayBuffer.isView(value) ? null : value)),
    }
  })
}

test('a pipeline gives what its chain by hand gives, and of what lies between nothing visits the page', async ({
  doorsPage,
}) => {
  await openOwn(doorsPage)
  await doorsPage.evaluate((url) => window.client.load(url), EMBEDDER)
  await heard(doorsPage)
  const byHand = await doorsPage.evaluate(async (text) => {
    const input = text.split('.').map((each) => each.trim())
    const vectors = await window.client.embed({ model: 'embedder', input })
    return [...(vectors[0]?.embedding ?? [])].map(
      (_, at) => vectors.reduce((sum, { embedding }) => sum + (embedding[at] ?? 0), 0) / 3,
    )
  }, TEXT)
  // The spy sees what does visit.
  expect((await heard(doorsPage)).vectors).toBe(3)
  const found = await doorsPage.evaluate(
    async ([model, text]) => {
      const pipeline = await window.client.pipeline<string, Float32Array>({
        name: 'mean',
        nodes: {
          sentences: { function: 'sentences', input: 'input' },
          vectors: { model, input: 'sentences', forEach: true },
          mean: { function: 'meanVector', input: 'vectors' },
        },
        output: 'mean',
      })
      window.heard.splice(0)
      return { mean: [...(await pipeline.run(text))], id: pipeline.info.id }
    },
    [EMBEDDER, TEXT] as const,
  )
  expect(found.id).toBe('mean@1')
  for (const [at, value] of byHand.entries()) expect(found.mean[at]).toBeCloseTo(value, 6)
  const { vectors, texts } = await heard(doorsPage)
  expect(vectors).toBe(1)
  expect(texts).not.toContain('paris')
})

test('a pipeline is a model: by alias, in statistics, unloaded; its functions ask models, and its errors name the node', async ({
  doorsPage,
}) => {
  await openOwn(doorsPage)
  const found = await doorsPage.evaluate(async (model) => {
    const { client } = window
    const codeOf = (asked: Promise<unknown>) =>
      asked.then(
        () => 'none',
        ({ code, node, message }: { code?: string; node?: string; message?: string }) => ({
          code,
          node,
          message,
        }),
      )
    const nodes = { short: { function: 'shorten', input: 'input', models: { embedder: model } } }
    await client.pipeline({ name: 'short', nodes, output: 'short' })
    client.setAlias('live', 'short@1')
    const { output } = await client.run({ model: 'live', input: 'the cat sat on a mat' })
    const { oneShot, finished } = await client.stats('short')
    await client.pipeline({
      name: 'broken',
      nodes: { first: { function: 'sentences', input: 'input' }, bad: { function: 'fail', input: 'first' } },
      output: 'bad',
    })
    const failed = await codeOf(client.run({ model: 'broken', input: 'a. b' }))
    const circle = await codeOf(
      client.pipeline({
        name: 'circle',
        nodes: { a: { function: 'cut', input: 'b' }, b: { function: 'cut', input: 'a' } },
        output: 'a',
      }),
    )
    const unknown = await codeOf(
      client.pipeline({ name: 'unknown', nodes: { a: { function: 'nobody', input: 'input' } }, output: 'a' }),
    )
    const wrong = await codeOf(client.run({ model: 'short', input: 5 }))
    await client.unload('short')
    const gone = await codeOf(client.run({ model: 'short', input: 'a b c' }))
    return {
      output,
      runs: oneShot?.infer.count,
      finished: finished.stop,
      failed,
      circle,
      unknown,
      wrong,
      gone,
    }
  }, EMBEDDER)
  expect(found.output).toEqual({ words: ['a', 'mat'], rounds: 4 })
  expect(found.finished).toBe(1)
  expect(found.runs).toBe(5)
  expect(found.failed).toMatchObject({
    code: 'backend_failed',
    node: 'bad',
    message: 'Node bad of pipeline broken: it fell over',
  })
  expect(found.circle).toMatchObject({ code: 'bad_request', message: expect.stringContaining('circle') })
  expect(found.unknown).toMatchObject({
    code: 'bad_request',
    node: 'a',
    message: expect.stringContaining('no function nobody'),
  })
  expect(found.wrong).toMatchObject({ node: 'short' })
  expect(found.gone).toMatchObject({ code: 'model_not_loaded' })
})

test('any pipeline of transformers.js is served as it is, on our sessions and out of our store', async ({
  doorsPage,
}) => {
  await openOwn(doorsPage)
  const requests: string[] = []
  doorsPage.context().on('request', (request) => requests.push(request.url()))
  const found = await doorsPage.evaluate(async () => {
    const { client } = window
    for (const name of ['features', 'sentiment', 'embedder', 'classifier'])
      await client.load(`/fixtures/tasks/${name}/`)
    const text = 'the cat sat on a mat'
    const parameters = { pooling: 'mean', normalize: true }
    const { output } = await client.run<{ dims: number[]; data: Float32Array }>({
      model: 'features',
      input: text,
      parameters,
    })
    const ours = await client.embed({ model: 'embedder', input: text })
    const theirLabel = (
      await client.run<{ label: string; score: number }[]>({ model: 'sentiment', input: text })
    ).output
    const ourLabel = await client.classify({ model: 'classifier', input: text })
    const { oneShot } = await client.stats('features')
    const both = await Promise.all(
      ['a mat', 'paris'].map((input) =>
        client.run<{ data: Float32Array }>({ model: 'features', input, parameters }),
      ),
    )
    return {
      dims: output.dims,
      theirs: [...output.data],
      ours: [...ours.embedding],
      theirLabel,
      ourLabel,
      runs: oneShot?.infer.count,
      both: both.length,
    }
  })
  expect(found.dims).toEqual([1, 32])
  for (const [at, value] of found.ours.entries()) expect(found.theirs[at]).toBeCloseTo(value, 5)
  expect(found.theirLabel[0]?.label).toBe(found.ourLabel[0]?.label)
  expect(found.theirLabel[0]?.score).toBeCloseTo(found.ourLabel[0]?.score ?? 0, 5)
  expect(found).toMatchObject({ runs: 1, both: 2 })
  // One onnxruntime, and nothing from anywhere else.
  expect(requests.filter((url) => /\.wasm/.test(url) && /ort/.test(url)).length).toBeLessThanOrEqual(4)
  expect(
    requests.filter(
      (url) =>
        !url.startsWith('http://localhost') &&
        !url.startsWith('http://127.0.0.1') &&
        !url.startsWith('blob:'),
    ),
  ).toEqual([])
})

test('voice activity, then speech recognition: each stretch is heard alone, as by hand', async ({
  doorsPage,
}) => {
  test.skip(!hasShared, NO_SHARED)
  await openOwn(doorsPage)
  const samples = [...readWave(readFileSync(join(SHARED, 'media/jfk.wav'))).slice(0, 5 * 16_000)]
  const found = await doorsPage.evaluate(async (samples) => {
    const { client } = window
    const audio = Float32Array.from(samples)
    const [voice, hearer] = ['/fixtures/tasks/voice/', '/fixtures/tasks/hearer/']
    const hear = await client.pipeline<Float32Array, readonly { tokens: readonly number[] }[]>({
      name: 'hear',
      nodes: {
        voice: { model: voice, input: 'input' },
        stretches: { function: 'cut', input: { audio: 'input', segments: 'voice.segments' } },
        said: { model: hearer, input: 'stretches', forEach: true, parameters: { maxTokens: 4 } },
      },
      output: 'said',
    })
    const said = (await hear.run(audio)).map(({ tokens }) => tokens)
    await client.load(voice)
    await client.load(hearer)
    const { segments } = await client.detectVoice({ model: 'voice', input: audio })
    const byHand = []
    for (const { start, end = audio.length } of segments) {
      const input = audio.slice(start, start + 80 * Math.floor((end - start) / 80))
      byHand.push((await client.transcribe({ model: 'hearer', input, maxTokens: 4 })).tokens)
    }
    return { said, byHand }
  }, samples)
  expect(found.byHand.length).toBeGreaterThanOrEqual(2)
  expect(found.said).toEqual(found.byHand)
})

declare global {
  interface Window {
    heard: unknown[]
  }
}
