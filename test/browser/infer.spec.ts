import type { Page } from 'playwright/test'
import type { DigitHandler } from '../../packages/dev/src/harness/own-worker.ts'
import type { InputOf, OutputOf } from '../../packages/worker/src/index.ts'
import type { TensorValue } from '../../packages/protocol/src/index.ts'
import { NO_SHARED, expect, hasShared, test } from './fixtures.ts'
import { giveMortalWorkers } from './mortal-workers.ts'

test.skip(!hasShared, NO_SHARED)

const FOLDER = '/fixtures/one-shot/'
const MNIST = `${FOLDER}mnist-12.onnx`

declare global {
  interface Window {
    /** So many test images from this one on, as one tensor, and what they show. */
    digits(from: number, count: number): { tensor: TensorValue; labels: number[]; pixels: Uint8Array }
    /** Which digit each row of scores says. */
    readScores(scores: TensorValue | undefined): number[]
  }
}

async function giveDigits(page: Page): Promise<void> {
  await page.evaluate(async (folder) => {
    const bytes = async (name: string) => new Uint8Array(await (await fetch(folder + name)).arrayBuffer())
    const [images, labels] = [await bytes('mnist-images-idx3'), await bytes('mnist-labels-idx1')]
    window.digits = (from, count) => {
      const pixels = images.slice(16 + 784 * from, 16 + 784 * (from + count))
      const tensor = { datatype: 'FP32', shape: [count, 1, 28, 28], data: Float32Array.from(pixels) } as const
      return { tensor, pixels, labels: [...labels.subarray(8 + from, 8 + from + count)] }
    }
    window.readScores = (scores) => {
      const data = scores?.data as Float32Array
      return Array.from({ length: data.length / 10 }, (_, row) => {
        const own = data.subarray(10 * row, 10 * row + 10)
        return own.indexOf(Math.max(...own))
      })
    }
  }, FOLDER)
}

test.describe('digits', () => {
  test.beforeEach(({ page }) => giveDigits(page))

  test('MNIST: the 10,000 test images, computed together, are read right', async ({ page }) => {
    const found = await page.evaluate(async (url) => {
      window.client = await window.tabserve.createClient({ threads: 1 })
      await window.client.load(url)
      const ask = async (from: number, count: number) => {
        const { tensor, labels } = window.digits(from, count)
        const { outputs } = await window.client.infer({ model: 'mnist-12', inputs: { Input3: tensor } })
        const read = window.readScores(outputs['Plus214_Output_0'])
        return labels.filter((label, row) => label === read[row]).length
      }
      const requests = Array.from({ length: 1000 }, (_, index) => ask(10 * index, 10))
      const right = (await Promise.all(requests)).reduce((sum, count) => sum + count, 0)
      const { graph, manifest } = await window.client.describe('mnist-12')
      const { oneShot } = await window.client.stats('mnist-12')
      return { right, graph, task: manifest.task, stats: oneShot }
    }, MNIST)
    const { graph, stats } = found
    expect(found.right).toBeGreaterThanOrEqual(9800)
    expect(graph?.inputs).toEqual([{ name: 'Input3', datatype: 'FP32', shape: ['batch', 1, 28, 28] }])
    expect(graph).toMatchObject({ maxBatchSize: 32 })
    expect(stats).toMatchObject({ succeeded: 1000, rows: 10_000, retriedAlone: 0 })
    expect(Object.keys(stats?.batches ?? {}).some((rows) => Number(rows) >= 20)).toBe(true)
  })

  test('tensors that do not fit are refused at the door; buffers move only where asked; equal requests are answered once', async ({
    page,
  }) => {
    const found = await page.evaluate(async (url) => {
      window.client = await window.tabserve.createClient({ threads: 1 })
      await window.client.load(url)
      const model = 'mnist-12'
      const { tensor } = window.digits(0, 2)
      const refused = async (inputs: object, options = {}) =>
        window.client.infer({ model, inputs: inputs as never, ...options }).then(
          () => undefined,
          ({ code, param, message }: { code: string; param?: string; message: string }) => [
            code,
            param,
            message,
          ],
        )
      const errors = [
        await refused({ Input3: { ...tensor, shape: [2, 28, 28] } }),
        await refused({ Input3: { ...tensor, datatype: 'FP64', data: new Float64Array(2 * 784) } }),
        await refused({ Input3: tensor, mask: tensor }),
        await refused({}),
        await refused({ Input3: tensor }, { outputs: ['scores'] }),
        await refused({ Input3: tensor }, { priorty: 1 }),
      ]
      const aborted = await refused({ Input3: tensor }, { signal: AbortSignal.abort() })
      const generated = await window.client.generate({ model, prompt: 'a' }).then(
        () => '',
        ({ message }: Error) => message,
      )
      const copied = await window.client.infer({ model, inputs: { Input3: tensor }, cache: true })
      const kept = (tensor.data as Float32Array).byteLength
      const again = await window.client.infer({ model, inputs: { Input3: tensor }, cache: true })
      const other = { ...tensor, data: (tensor.data as Float32Array).map((value) => value + 1) }
      const different = await window.client.infer({ model, inputs: { Input3: other }, cache: true })
      const moved = await window.client.infer({ model, inputs: { Input3: tensor }, transfer: true })
      const scores = [copied, again, moved].map(({ outputs }) => [
        ...(outputs['Plus214_Output_0']?.data as Float32Array),
      ])
      return {
        errors,
        aborted: aborted?.[0],
        generated,
        kept,
        left: (tensor.data as Float32Array).byteLength,
        cached: [copied.isCached, again.isCached, different.isCached],
        scores,
        cache: (await window.client.stats(model)).oneShot?.cache,
      }
    }, MNIST)
    const wanted = 'The input Input3 must be FP32 [batch, 1, 28, 28], not'
    expect(found.errors).toEqual([
      ['bad_request', 'inputs.Input3', `${wanted} FP32 [2, 28, 28].`],
      ['bad_request', 'inputs.Input3', `${wanted} FP64 [2, 1, 28, 28].`],
      ['bad_request', 'inputs.mask', 'There is no input mask. There are: Input3.'],
      ['bad_request', 'inputs.Input3', `${wanted} nothing.`],
      ['bad_request', 'outputs', 'outputs must be a list of some of Plus214_Output_0, not ["scores"].'],
      ['bad_request', 'priorty', 'infer has no option priorty.'],
    ])
    expect(found.aborted).toBe('aborted')
    expect(found.generated).toContain('does not generate text')
    expect([found.kept, found.left]).toEqual([2 * 784 * 4, 0])
    expect(found.cached).toEqual([false, true, false])
    expect(found.scores[1]).toEqual(found.scores[0])
    expect(found.scores[2]).toEqual(found.scores[0])
    expect(found.cache).toMatchObject({ hits: 1, misses: 2, entries: 2 })
  })

  test('a bare .onnx file is loaded without a network the second time, and its answers are still there', async ({
    page,
    context,
  }) => {
    const ask = async () =>
      page.evaluate(async (url) => {
        window.client = await window.tabserve.createClient({ threads: 1 })
        const { load, url: address } = await window.client.load(url, { responseCache: { kind: 'indexeddb' } })
        const { tensor } = window.digits(7, 1)
        const answer = await window.client.infer({ model: 'mnist-12@1', inputs: { Input3: tensor } })
        const [digit] = window.readScores(answer.outputs['Plus214_Output_0'])
        return { address, digit, networkBytes: load.networkBytes, isCached: answer.isCached }
      }, MNIST)
    const first = await ask()
    expect(first).toMatchObject({ digit: 9, networkBytes: 26_454, isCached: false })
    await page.reload()
    await giveDigits(page)
    await context.route('**/*.onnx', (route) => route.abort())
    expect(await ask()).toEqual({ ...first, networkBytes: 0, isCached: true })
  })

  test('when its worker is killed a request is asked again, and one whose inputs have moved says so', async ({
    page,
  }) => {
    await giveMortalWorkers(page)
    const found = await page.evaluate(async (url) => {
      window.client = await window.tabserve.createClient({ worker: window.mortal.make, threads: 1 })
      await window.client.load(url, { batching: { maxQueueDelayMs: 60_000 } })
      const ask = (transfer: boolean) => {
        const { tensor, labels } = window.digits(3, 1)
        return window.client.infer({ model: 'mnist-12', inputs: { Input3: tensor }, transfer }).then(
          ({ outputs }) => window.readScores(outputs['Plus214_Output_0'])[0] === labels[0],
          ({ code, message }: { code: string; message: string }) => `${code} ${message}`,
        )
      }
      const asked = [ask(false), ask(true)]
      await new Promise((resolve) => setTimeout(resolve, 300))
      window.mortal.tell(-1, 'die')
      const moved = await asked[1]
      // Its batch has a minute; a full one goes at once.
      await ask2()
      return { moved, again: await asked[0] }

      async function ask2() {
        const { tensor } = window.digits(0, 31)
        await window.client.infer({ model: 'mnist-12', inputs: { Input3: tensor } })
      }
    }, MNIST)
    expect(found.moved).toContain('engine_lost')
    expect(found.moved).toContain('had moved to the worker that died')
    expect(found.again).toBe(true)
  })
})

test("handlers and hooks of a page's own worker: who cannot be read fails alone, outputs move to the page", async ({
  doorsPage,
}) => {
  await giveDigits(doorsPage)
  const found = await doorsPage.evaluate(async (url) => {
    window.client = await window.doors.createClient({ worker: window.doors.ownWorker, threads: 1 })
    const batching = { maxQueueDelayMs: 100, canBatch: 'atMostThree' }
    await window.client.load(url, { handler: 'digits', batching })
    const model = 'mnist-12'
    const run = (input: InputOf<DigitHandler>) =>
      window.client.run<OutputOf<DigitHandler>>({ model, input }).then(
        ({ output, batchSize, timing }) => ({
          digit: output.digit,
          batchSize,
          stages: Object.keys(timing).sort(),
        }),
        ({ code, message }: { code: string; message: string }) => ({ code, message }),
      )
    const images = [0, 1, 2, 3, 4].map((index) => window.digits(index, 1))
    const asked = images.map(({ pixels }) => run({ pixels }))
    asked.push(run({ pixels: new Uint8Array(3) }))
    const answers = await Promise.all(asked)
    for (const index of [0, 1, 2])
      await window.client.infer({ model, inputs: { Input3: window.digits(index, 1).tensor } })
    const wrongHandler = await window.client.load(url, { handler: 'cats' }).then(
      () => '',
      ({ message }: Error) => message,
    )
    await window.client.load(url, { handler: 'eachDigit' })
    const passes = await window.client.run({ model, input: images.map(({ pixels }) => ({ pixels })) })
    return { answers, labels: images.map(({ labels }) => labels[0]), wrongHandler, passes: passes.output }
  }, MNIST)
  const [bad] = found.answers.splice(-1)
  expect(bad).toEqual({ code: 'bad_request', message: 'A digit has 28 · 28 pixels.' })
  expect(found.answers.map((answer) => 'digit' in answer && answer.digit)).toEqual(found.labels)
  expect(found.answers.map((answer) => 'batchSize' in answer && answer.batchSize)).toEqual([3, 3, 3, 2, 2])
  const stages = ['inferMs', 'postprocessMs', 'preprocessMs', 'queueMs', 'totalMs']
  expect(found.answers[0]).toMatchObject({ stages })
  expect(found.wrongHandler).toContain('There is no handler cats. There are:')
  expect(found.passes).toEqual(found.labels.map((digit) => ({ digit })))
})

test('what a worker gives it does not keep: outputs are moved', async ({ doorsPage }) => {
  await giveDigits(doorsPage)
  const left = await doorsPage.evaluate(async (url) => {
    window.client = await window.doors.createClient({ worker: window.doors.ownWorker, threads: 1 })
    await window.client.load(url, { handler: 'spy', batching: { maxQueueDelayMs: 50 } })
    const model = 'mnist-12'
    const ask = (index: number) =>
      window.client.infer({ model, inputs: { Input3: window.digits(index, 1).tensor } })
    await Promise.all([ask(0), ask(1), ask(2)])
    await ask(3)
    return (await window.client.run({ model, input: null })).output
  }, MNIST)
  expect(left).toEqual({ all: 4, moved: 4 })
})

test('Silero finds the speech, its state carried from chunk to chunk; two streams at once are as each alone', async ({
  page,
}) => {
  const found = await page.evaluate(async (folder) => {
    window.client = await window.tabserve.createClient({ threads: 1 })
    const url = `${folder}silero_vad_16k_op15.onnx`
    const info = await window.client.load(url, { batching: { maxQueueDelayMs: 3 } })
    const wav = await (await fetch(`${folder}jfk.wav`)).arrayBuffer()
    const samples = Float32Array.from(new Int16Array(wav.slice(44)), (value) => value / 32768)
    const model = 'silero_vad_16k_op15'
    const [chunk, context] = [512, 64]
    const batchSizes = new Set<number>()

    /** The probability of speech in so many chunks from this one on. */
    async function listen(from: number, count: number): Promise<number[]> {
      const sequence = window.client.sequence({ model })
      const said: number[] = []
      for (let index = from; index < from + count; index++) {
        const data = new Float32Array(context + chunk)
        data.set(
          samples.subarray(Math.max(0, index * chunk - context), (index + 1) * chunk),
          index === 0 ? context : 0,
        )
        const { outputs, batchSize } = await sequence.infer({
          input: { datatype: 'FP32', shape: [1, data.length], data },
          sr: { datatype: 'INT64', shape: [], data: BigInt64Array.of(16000n) },
        })
        if (Object.keys(outputs).join() !== 'output') throw new Error('state came along')
        said.push(Number(outputs['output']?.data[0]))
        batchSizes.add(batchSize)
      }
      await sequence.end()
      return said
    }

    const numChunks = Math.floor(samples.length / chunk)
    const alone = [await listen(0, numChunks), await listen(100, 60)]
    const aloneSizes = [...batchSizes]
    batchSizes.clear()
    const together = await Promise.all([listen(0, 80), listen(100, 60)])
    const { oneShot } = await window.client.stats(model)
    // State of its own each time: the same chunk says something else where another has gone before.
    return {
      graph: info.graph,
      alone,
      together,
      aloneSizes,
      sizes: [...batchSizes],
      sequences: oneShot?.sequences,
    }
  }, FOLDER)
  const [speech = [], part = []] = found.alone
  expect(found.graph?.state).toEqual([{ input: 'state', output: 'stateN' }])
  // "And so my fellow Americans", pauses between: most of eleven seconds is speech, and the beginning is not.
  expect(Math.max(...speech)).toBeGreaterThan(0.95)
  expect(speech.filter((value) => value > 0.5).length / speech.length).toBeGreaterThan(0.5)
  expect(Math.min(...speech)).toBeLessThan(0.2)
  expect(part).not.toEqual(speech.slice(100, 160))
  expect([found.aloneSizes, found.sizes.includes(2)]).toEqual([[1], true])
  for (const [stream, values] of found.together.entries())
    for (const [index, value] of values.entries())
      expect(Math.abs(value - (found.alone[stream]?.[index] ?? NaN))).toBeLessThan(1e-3)
  expect(found.sequences).toEqual({ open: 0, started: 4, expired: 0 })
})

test('a sequence that was idle for too long is gone; KServe infers with lists, bytes and sequences', async ({
  page,
}) => {
  const found = await page.evaluate(async (folder) => {
    window.client = await window.tabserve.createClient({ threads: 1 })
    await window.client.load(`${folder}mnist-12.onnx`)
    await window.client.load(`${folder}silero_vad_16k_op15.onnx`, { sequence: { idleTimeoutMs: 300 } })
    const rate = { datatype: 'INT64', shape: [], data: BigInt64Array.of(16000n) } as const
    const input = { datatype: 'FP32', shape: [1, 576], data: new Float32Array(576) } as const
    const sequence = window.client.sequence({ model: 'silero_vad_16k_op15' })
    await sequence.infer({ input, sr: rate })
    await new Promise((resolve) => setTimeout(resolve, 800))
    const stats = await window.client.stats('silero_vad_16k_op15')
    const late = await sequence.infer({ input, sr: rate }).then(
      () => '',
      ({ message }: Error) => message,
    )
    const call = async (path: string, init?: RequestInit) => {
      const response = await window.client.fetch(`https://tabserve.local/v2/models/${path}`, init)
      return { status: response.status, response }
    }
    const json = async (path: string, body?: object) => {
      const init = body === undefined ? undefined : { method: 'POST', body: JSON.stringify(body) }
      const { status, response } = await call(path, init)
      return { status, body: (await response.json()) as Record<string, unknown> }
    }
    const zeros = { name: 'Input3', datatype: 'FP32', shape: [1, 1, 28, 28] }
    const plain = await json('mnist-12/infer', { inputs: [{ ...zeros, data: new Array(784).fill(0) }] })
    const wrong = await json('mnist-12/infer', {
      inputs: [{ ...zeros, datatype: 'INT8', data: new Array(784).fill(0) }],
    })
    const head = new TextEncoder().encode(
      JSON.stringify({
        inputs: [{ ...zeros, parameters: { binary_data_size: 3136 } }],
        parameters: { binary_data_output: true },
      }),
    )
    const { response } = await call('mnist-12/infer', {
      method: 'POST',
      headers: { 'inference-header-content-length': String(head.length) },
      body: new Blob([head, new Uint8Array(3136)]),
    })
    const length = Number(response.headers.get('inference-header-content-length'))
    const bytes = await response.arrayBuffer()
    const told = JSON.parse(new TextDecoder().decode(bytes.slice(0, length))) as { outputs: object[] }
    const chunk = (parameters: object) =>
      json('silero_vad_16k_op15/infer', {
        parameters: { sequence_id: 42, ...parameters },
        inputs: [
          {
            name: 'input',
            datatype: 'FP32',
            shape: [1, 576],
            data: Array.from({ length: 576 }, (_, i) => Math.sin(i)),
          },
          { name: 'sr', datatype: 'INT64', shape: [], data: [16000] },
        ],
      })
    const chunks = [
      await chunk({ sequence_start: true }),
      await chunk({ sequence_end: true }),
      await chunk({}),
    ]
    return {
      expired: stats.oneShot?.sequences,
      late,
      metadata: await json('silero_vad_16k_op15'),
      plain: plain.body['outputs'] as { data: number[] }[],
      wrong,
      told: told.outputs,
      behind: [...new Float32Array(bytes.slice(length))],
      chunks: chunks.map(({ status }) => status),
      stats: await json('mnist-12/stats'),
    }
  }, FOLDER)
  expect(found.expired).toEqual({ open: 0, started: 1, expired: 1 })
  expect(found.late).toContain('had no chunk for 300 ms')
  expect(found.metadata.body).toMatchObject({
    platform: 'onnx_onnxv1',
    inputs: [
      { name: 'input', datatype: 'FP32', shape: [-1, -1] },
      { name: 'state', datatype: 'FP32', shape: [2, -1, 128] },
      { name: 'sr', datatype: 'INT64', shape: [] },
    ],
  })
  expect(found.plain[0]).toMatchObject({ name: 'Plus214_Output_0', datatype: 'FP32', shape: [1, 10] })
  expect(found.wrong).toEqual({
    status: 400,
    body: { error: 'The input Input3 must be FP32 [batch, 1, 28, 28], not INT8 [1, 1, 28, 28].' },
  })
  expect(found.told).toEqual([
    { name: 'Plus214_Output_0', datatype: 'FP32', shape: [1, 10], parameters: { binary_data_size: 40 } },
  ])
  expect(found.behind).toEqual(found.plain[0]?.data)
  expect(found.chunks).toEqual([200, 200, 400])
  expect(found.stats.body).toMatchObject({
    model_stats: [
      {
        inference_count: 2,
        execution_count: 2,
        batch_stats: [{ batch_size: 1, compute_infer: { count: 2 } }],
      },
    ],
  })
})
