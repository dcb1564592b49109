import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { expect, test } from 'playwright/test'
import type { OnnxDecoderGraph } from '@tabserve/protocol'
import { randomDecoder } from '../../packages/convert/src/random-model.ts'
import { SHARED_ABSENT, shared } from '../../packages/convert/test/shared.ts'
import type { ModelRunner, Run } from '../../packages/engine/src/model-runner.ts'
import type { ChosenRunner } from '../../packages/runtime/src/backend/chosen-runner.ts'
import { openExport, openForeignDecoder } from '../foreign/node-device.ts'
import { checkKvBytes } from '../conformance/kv-bytes.ts'
import type { ForeignOptions } from '../foreign/write-foreign.ts'
import { exportForeign } from '../foreign/write-foreign.ts'
import { ReferenceDecoder } from '../reference/decoder.ts'

const SHAPE = { hiddenSize: 32, layers: 2, heads: 4, kvHeads: 2, hiddenDim: 44, vocabSize: 300 }
const SPEC = randomDecoder(SHAPE, 64, 5, true)
const PROMPTS = [
  [7, 3, 60, 0, 12, 12, 45, 33, 2, 58, 19],
  [4, 4, 27],
  [299, 8, 50, 50, 1, 14],
]

const STYLES = ['genai', 'optimum'] as const
const POSITIONS = ['input', 'counted'] as const
const LOGITS = ['all', 'last', 'kept'] as const

for (const style of STYLES) {
  for (const positions of POSITIONS) {
    for (const logits of LOGITS) {
      const options = { style, positions, logits, dtype: 'float32', inline: logits === 'all' } as const
      test(`${style}, positions ${positions}, logits of ${logits}: a float64 reference gives the same, alone, in pieces and beside others`, async () => {
        const { runner, cache } = await openForeignDecoder(SPEC, options)
        // Positions that optimum's graph counts from the past's length are wrong behind padding, and the graph is found out.
        expect(cache?.batched).toBe(style === 'genai' || positions === 'input')
        await checkAgainstReference(runner)
        await runner.dispose()
      })
    }
  }
}

test('caches and logits of halves stay close to the reference', async () => {
  for (const style of STYLES) {
    const chosen = await openForeignDecoder(SPEC, {
      style,
      positions: 'input',
      dtype: 'float16',
      inline: false,
    })
    expect(chosen).toMatchObject({
      kvType: 'float16',
      cache: { form: style === 'genai' ? 'gqa' : 'concat', dtype: 'float16', batched: true },
    })
    await checkAgainstReference(chosen.runner, 0.03)
    const other = await openForeignDecoder(SPEC, {
      style,
      positions: 'input',
      dtype: 'float32',
      inline: false,
    })
    expect(chosen.maxKvBytes).toBe(other.maxKvBytes / 2)
    expect(chosen.runner.kvBytes).toBe(other.runner.kvBytes / 2)
  }
})

for (const style of STYLES)
  for (const dtype of ['float32', 'float16'] as const)
    test(`${style}, ${dtype}: KV goes from one session to another as bytes, and the text goes on`, async () => {
      const openOne = async () => (await openForeignDecoder(SPEC, { ...PLAIN, style, dtype })).runner
      const [first, second] = [await openOne(), await openOne()]
      // A beginning is read in chunks of another length there.
      await checkKvBytes(first, second, dtype === 'float32' ? 1e-5 : 0.03)
      await Promise.all([first.dispose(), second.dispose()])
    })

test('rows that are copied, swapped and rolled back go on as the ones they came from', async () => {
  for (const style of STYLES) {
    const { runner } = await openForeignDecoder(SPEC, { ...PLAIN, style })
    const [first = [], second = []] = PROMPTS
    await step(runner, [run(0, 0, first, 'none')])
    await step(runner, [run(1, 0, second, 'none')])
    runner.copyKv([
      { from: 0, to: 1, numTokens: first.length, swap: true },
      { from: 1, to: 3, numTokens: 6, swap: false },
    ])
    const swapped = await step(runner, [
      run(0, second.length, [9], 'last'),
      run(1, first.length, [9], 'last'),
    ])
    expectClose(swapped[0], reference([...second, 9]))
    expectClose(swapped[1], reference([...first, 9]))
    // Row 3 has the first six tokens; row 1 goes back to them.
    const forked = await step(runner, [run(3, 6, [5], 'last')])
    const back = await step(runner, [run(1, 6, [5], 'last')])
    expectClose(forked[0], reference([...first.slice(0, 6), 5]))
    expect(back[0]).toEqual(forked[0])
  }
})

test('a draft is checked in one step, also where a graph gives logits of the last token only', async () => {
  for (const logits of LOGITS) {
    const { runner } = await openForeignDecoder(SPEC, { ...PLAIN, style: 'genai', logits })
    const [tokens = []] = PROMPTS
    const [all = []] = await step(runner, [run(2, 0, tokens, 'all')])
    const rows = Array.from(tokens.keys(), (row) => all.slice(row * 300, (row + 1) * 300))
    for (const [index, row] of rows.entries()) expectClose(row, reference(tokens.slice(0, index + 1)))
  }
})

test('what a graph cannot be is refused with a reason: a missing file of weights, kvType, kernels, the GPU, heap', async () => {
  const made = exportForeign(SPEC, { ...PLAIN, style: 'optimum', inline: false })
  const unlisted = { ...made, described: { ...made.described, externalData: [] } }
  await expect(openExport(unlisted)).rejects.toThrow('weights in onnx/model.onnx_data')
  await expect(openExport(unlisted)).rejects.toMatchObject({ code: 'bad_model' })
  await expect(openExport(made, { kvType: 'int8' })).rejects.toMatchObject({ code: 'bad_request' })
  await expect(openExport(made, {}, 'kernels')).rejects.toMatchObject({ code: 'bad_request' })
  await expect(openExport(made, {}, 'webgpu')).rejects.toMatchObject({ code: 'bad_request' })
  await expect(openExport(made, {}, 'heap')).rejects.toMatchObject({ code: 'bad_request' })
  const cut = { ...made, externalData: made.externalData.subarray(0, 1000) }
  await expect(openExport(cut)).rejects.toMatchObject({ code: 'bad_model' })
  const wrong = { ...made, described: { ...made.described, headDim: 16 } }
  await expect(openExport(wrong)).rejects.toMatchObject({ code: 'bad_model' })
})

test('one row needs no batch; the reason says what was found', async () => {
  const one = await openExport(exportForeign(SPEC, { ...PLAIN, style: 'optimum' }), { maxRunning: 1 })
  expect(one.cache?.batched).toBe(false)
  expect(one.reason).toContain('room for one answer only')
  const many = await openForeignDecoder(SPEC, { ...PLAIN, style: 'genai' })
  expect(many.reason).toBe(
    'GroupQueryAttention over a cache in float32, batched; not heap: there is no heap in Node',
  )
})

test("onnxruntime-genai's own GroupQueryAttention model of halves runs, whole as in pieces, batched as alone", async () => {
  test.skip(!existsSync(shared('models/onnx')), SHARED_ABSENT)
  const graph = new Uint8Array(await readFile(shared('models/onnx/tiny-qwen35/decoder.onnx')))
  const described: OnnxDecoderGraph = {
    kind: 'decoder-onnx',
    architecture: 'qwen2',
    file: 'decoder.onnx',
    externalData: [],
    layers: 2,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    hiddenSize: 64,
    vocabSize: 1000,
    contextLength: 128,
  }
  const chosen = await openExport({ graph, externalData: new Uint8Array(), described })
  expect(chosen.cache).toEqual({ form: 'gqa', dtype: 'float16', batched: true })
  await checkPieces(chosen, 1000)
})

const PLAIN = {
  positions: 'input',
  dtype: 'float32',
  inline: true,
} as const satisfies Partial<ForeignOptions>

async function checkAgainstReference(runner: ModelRunner, within = 1e-4): Promise<void> {
  const [first = []] = PROMPTS
  // In two pieces; then a token at a time, over what was there.
  await step(runner, [run(0, 0, first.slice(0, 5), 'none')])
  const [pieces] = await step(runner, [run(0, 5, first.slice(5), 'last')])
  expectClose(pieces, reference(first), within)
  let single: number[] | undefined
  for (const [from, token] of first.entries()) [single] = await step(runner, [run(0, from, [token], 'last')])
  expectClose(single, reference(first), within)
  // Prompts together, and answers together, as far as the runner says they may.
  const whole = PROMPTS.map((prompt, row) => run(row, 0, prompt, 'last'))
  const steps = runner.capabilities.batchedPrefill ? [whole] : whole.map((one) => [one])
  const read: number[][] = []
  for (const runs of steps) read.push(...(await step(runner, runs)))
  read.forEach((logits, row) => expectClose(logits, reference(PROMPTS[row] ?? []), within))
  for (const round of [0, 1]) {
    const runs = PROMPTS.map((prompt, row) => run(row, prompt.length + round, [20 + round], 'last'))
    const decoded = await step(runner, runs)
    decoded.forEach((logits, row) =>
      expectClose(
        logits,
        reference([...(PROMPTS[row] ?? []), 20, 21].slice(0, (PROMPTS[row]?.length ?? 0) + 1 + round)),
        within,
      ),
    )
  }
}

async function checkPieces({ runner }: ChosenRunner, vocabSize: number): Promise<void> {
  const prompts = PROMPTS.map((prompt) => prompt.map((token) => (token * 3) % vocabSize))
  const alone: number[][] = []
  for (const [row, prompt] of prompts.entries()) {
    const [whole = []] = await step(runner, [run(row, 0, prompt, 'last')])
    let single: number[] = []
    for (const [from, token] of prompt.entries())
      [single = []] = await step(runner, [run(3, from, [token], 'last')])
    expectClose(single, whole, 0.05)
    alone.push(...(await step(runner, [run(row, prompt.length, [77], 'last')])))
  }
  const together = await step(
    runner,
    prompts.map((prompt, row) => run(row, prompt.length, [77], 'last')),
  )
  together.forEach((logits, row) => expectClose(logits, alone[row] ?? [], 0.05))
}

function run(row: number, from: number, tokens: readonly number[], wantLogits: Run['wantLogits']): Run {
  return { kv: { row }, from, tokens: Int32Array.from(tokens), wantLogits, top: 0 }
}

async function step(runner: ModelRunner, runs: readonly Run[]): Promise<number[][]> {
  const { outputs } = await runner.run({ runs })
  return outputs.map(({ values }) => [...values])
}

/** Logits behind the last token. */
function reference(tokens: readonly number[]): number[] {
  const decoder = new ReferenceDecoder(SPEC)
  let logits: Float64Array = new Float64Array()
  for (const token of tokens) logits = decoder.next(token)
  return [...logits]
}

function expectClose(found: readonly number[] | undefined, wanted: readonly number[], within = 1e-4): void {
  expect(found?.length).toBe(wanted.length)
  const scale = Math.max(...wanted) - Math.min(...wanted)
  const difference = wanted.reduce(
    (largest, value, index) => Math.max(largest, Math.abs(value - (found?.[index] ?? NaN))),
    0,
  )
  expect(difference / scale).toBeLessThanOrEqual(within)
}
