import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { expect, test } from 'playwright/test'
import type { DecoderLayer, DecoderSpec } from '../../packages/convert/src/graph/decoder-spec.ts'
import { buildDecoder } from '../../packages/convert/src/graph/decoder.ts'
import { matrixOf } from '../../packages/convert/src/graph/matrix.ts'
import { plainRotary } from '../../packages/convert/src/graph/rotary.ts'
import type { Run } from '../../packages/engine/src/model-runner.ts'
import type { DecoderGraph, TensorEntry, WeightForm } from '../../packages/protocol/src/index.ts'
import { kernelsProblem } from '../../packages/runtime/src/backend/kernels/kernel-coverage.ts'
import { KernelRunner } from '../../packages/runtime/src/backend/kernels/kernel-runner.ts'
import { Random } from '../conformance/kernels/random.ts'
import { checkKvBytes } from '../conformance/kv-bytes.ts'
import { ReferenceDecoder } from '../reference/decoder.ts'

setFlagsFromString('--experimental-wasm-relaxed-simd')

const CONTEXT = 64
const VOCABULARY = 61
const TOKENS = [7, 3, 60, 0, 12, 12, 45, 33, 2, 58, 19, 4, 4, 4, 27, 31, 8, 50, 50, 1, 14, 22, 9, 40]

/** What each architecture has that Llama has not. */
const ARCHITECTURES: Readonly<Record<string, (spec: DecoderSpec, random: Random) => DecoderSpec>> = {
  llama: (spec) => spec,
  'llama, untied': (spec, random) => ({ ...spec, lmHead: matrix(random, 'lm_head', VOCABULARY, 64) }),
  'qwen2 (biases)': (spec, random) =>
    eachLayer(spec, (layer) => ({
      ...layer,
      query: { ...layer.query, bias: random.floats(layer.query.rows) },
      key: { ...layer.key, bias: random.floats(layer.key.rows) },
      value: { ...layer.value, bias: random.floats(layer.value.rows) },
    })),
  'qwen3 (head norms)': (spec, random) => withHeadNorms(spec, random),
  'mistral (window)': (spec) => eachLayer(spec, (layer) => ({ ...layer, window: 9 })),
  'gemma 2 (post norms, GeGLU, soft caps, every other layer a window)': (spec, random) => ({
    ...withPostNorms(spec, random),
    activation: 'gelu-tanh',
    embeddingScale: 8,
    attentionSoftcap: 3,
    logitsSoftcap: 5,
    layers: withPostNorms(spec, random).layers.map((layer, index) => ({
      ...layer,
      window: index % 2 ? 0 : 7,
    })),
  }),
  'gemma 3 (head norms, post norms, two rotaries)': (spec, random) => {
    const gemma = withHeadNorms(withPostNorms(spec, random), random)
    return {
      ...gemma,
      activation: 'gelu-tanh',
      embeddingScale: 8,
      rotaries: { rotary: plainRotary(1_000_000, 16), rotary_local: plainRotary(10_000, 16) },
      layers: gemma.layers.map((layer, index) =>
        index === 0 ? { ...layer, window: 6, rotary: 'rotary_local' } : layer,
      ),
    }
  },
}

for (const [name, change] of Object.entries(ARCHITECTURES))
  for (const variant of ['plain', 'relaxed'] as const)
    test(`${name}: the kernels (${variant}) give the logits of a float64 reference`, async () => {
      const random = new Random(name.length)
      const spec = change(llama(random), random)
      const reference = new ReferenceDecoder(spec)
      const wanted = TOKENS.map((token) => reference.next(token))
      const runner = await open(spec, 'fp32', variant)
      const [all] = await step(runner, [run([2, 0], 0, TOKENS, 'all')])
      expect(
        error(
          all,
          wanted.flatMap((row) => [...row]),
        ),
      ).toBeLessThan(2e-5)
    })

for (const weights of ['fp32', 'fp16', 'int8', 'q4'] as const)
  test(`${weights}: chunks, forks, mixed steps and blocks in any order give, to the bit, what one token at a time gives`, async () => {
    const random = new Random(3)
    const gemma = ARCHITECTURES['gemma 2 (post norms, GeGLU, soft caps, every other layer a window)']
    const runner = await open(gemma!(llama(random), random), weights, 'relaxed')
    const alone: Float32Array[] = []
    for (const [from, token] of TOKENS.entries())
      alone.push(...(await step(runner, [run([0, 1], from, [token], 'last')])))

    // In one chunk; then a chunk and a tail in other blocks.
    const [whole] = await step(runner, [run([5, 3], 0, TOKENS, 'all')])
    expect(rowsOf(whole)).toEqual(alone.map((row) => [...row]))
    await step(runner, [run([7, 2], 0, TOKENS.slice(0, 17), 'none')])
    // A fork shares the full first block and copies the one that is being written.
    runner.copyKv([{ from: 2, to: 6, numTokens: 1, swap: false }])
    const other = [...TOKENS.slice(0, 17), 5, 6]
    // One step: a decode row of the one, a chunk of the fork, a whole new prompt, and two tokens of a draft.
    const [decoded, forked, fresh] = await step(runner, [
      run([7, 2], 17, [TOKENS[17]!], 'last'),
      run([7, 6], 17, other.slice(17), 'all'),
      run([4], 0, TOKENS.slice(0, 9), 'last'),
    ])
    expect([...decoded!]).toEqual([...alone[17]!])
    expect([...fresh!]).toEqual([...alone[8]!])
    const [otherAlone] = await step(runner, [run([1, 0], 0, other, 'last')])
    expect(rowsOf(forked).at(-1)).toEqual([...otherAlone!])
    // A draft that is rolled back leaves no trace.
    await step(runner, [run([7, 2], 18, [9, 9, 9], 'all')])
    const [after] = await step(runner, [run([7, 2], 18, [TOKENS[18]!], 'last')])
    expect([...after!]).toEqual([...alone[18]!])
  })

test('the largest logits come as a sort of whole rows would give them, also beside rows that want more', async () => {
  const runner = await open(llama(new Random(5)), 'q4', 'relaxed')
  const runs = (tops: readonly [number, number, number]): Run[] => [
    { ...run([0], 0, TOKENS.slice(0, 5), 'last'), top: tops[0] },
    { ...run([1], 0, TOKENS.slice(0, 3), 'all'), top: tops[1] },
    { ...run([2], 0, TOKENS.slice(0, 9), 'last'), top: tops[2] },
  ]
  const whole = (await runner.run({ runs: runs([0, 0, 0]) })).outputs.map(({ values }) =>
    rowsOf(values.slice()),
  )
  const { outputs } = await runner.run({ runs: runs([1, 5, 8]) })
  for (const [index, top] of [1, 5, 8].entries()) {
    const { tokens, values } = outputs[index]!
    whole[index]!.forEach((row, at) => {
      const best = [...row.keys()]
        .sort((a, b) => row[b]! - row[a]! || a - b)
        .slice(0, top)
        .sort((a, b) => a - b)
      expect([...tokens!.subarray(at * top, (at + 1) * top)]).toEqual(best)
      expect([...values.subarray(at * top, (at + 1) * top)]).toEqual(best.map((id) => row[id]))
    })
  }
})

test('logits that have no room in one pass come in several, the same to the bit', async () => {
  const spec = llama(new Random(5))
  const runs = [
    run([0], 0, TOKENS.slice(0, 5), 'last'),
    { ...run([1], 0, TOKENS.slice(0, 7), 'all'), top: 3 },
    run([2], 0, TOKENS.slice(0, 4), 'none'),
    run([3], 0, TOKENS.slice(0, 6), 'all'),
  ]
  const wanted = await step(
    await open(spec, 'q4', 'relaxed'),
    runs.map((run) => ({ ...run, top: 0 })),
  )
  const narrow = await open(spec, 'q4', 'relaxed', { logitsBytes: 3 * 4 * VOCABULARY })
  expect((await step(narrow, runs)).map(rowsOf)).toEqual(wanted.map(rowsOf))
  // The KV that was written several times is that of one time.
  const [next] = await step(narrow, [run([3], 6, [TOKENS[6]!], 'last')])
  expect([...next!]).toEqual(rowsOf(wanted[1])[6])
})

test('KV takes what its blocks take: half as fp16, and a budget that holds no context is refused', async () => {
  const spec = llama(new Random(5))
  const bytes = async (kvType: 'float32' | 'float16') => {
    const runner = await open(spec, 'fp32', 'plain', { kvType })
    await step(runner, [run([0, 1, 2], 0, TOKENS.slice(0, 17), 'none')])
    return { used: runner.kvBytes, most: runner.maxKvBytes }
  }
  const full = await bytes('float32')
  expect(full.used).toBe(16 * 16 * 2 * 3 * 2 * 16 * 4) // a slab's blocks · positions · k, v · layers · heads · elements · bytes
  expect(await bytes('float16')).toEqual({ used: full.used / 2, most: full.most / 2 })
  await expect(open(spec, 'fp32', 'plain', { kvBudgetBytes: full.used / 5 })).rejects.toMatchObject({
    code: 'bad_request',
  })
})

test('a budget that is no round number of blocks loses at most a sixteenth of them', async () => {
  const spec = llama(new Random(5))
  const one = (await open(spec, 'fp32', 'plain')).maxKvBytes / 16 // 4 rows of 4 blocks
  for (const blocks of [4, 5, 7, 9, 11, 13, 15]) {
    const { paged } = (await open(spec, 'fp32', 'plain', { kvBudgetBytes: one * blocks })).capabilities
    expect(paged?.numBlocks).toBeLessThanOrEqual(blocks)
    expect(paged?.numBlocks).toBeGreaterThanOrEqual(blocks * (15 / 16))
  }
})

test('tensors over the same bytes, or in another file, are not for the kernels', () => {
  const { graph } = build(llama(new Random(5)), 'fp32')
  const [first, second, ...rest] = graph.decoder!.tensors
  const withTensors = (...tensors: TensorEntry[]) => ({ ...graph, decoder: { ...graph.decoder!, tensors } })
  const overlapping = withTensors(first!, { ...second!, offset: first!.offset }, ...rest)
  expect(kernelsProblem(overlapping)).toContain('in the same place')
  expect(kernelsProblem(withTensors({ ...first!, file: 'other.data' }, second!, ...rest))).toContain(
    'the one file',
  )
})

test('a data file that ends early is bad_model; a graph without traits is not for the kernels', async () => {
  const { graph, chunks } = build(llama(new Random(5)), 'fp32')
  const half = (async function* () {
    yield chunks[0]!
  })()
  await expect(create(graph, half, 'plain')).rejects.toMatchObject({ code: 'bad_model' })
  const { decoder, ...bare } = graph
  expect(decoder).toBeDefined()
  expect(kernelsProblem(graph)).toBeUndefined()
  expect(kernelsProblem(bare)).toBe('its manifest does not list its tensors')
})

for (const kvType of ['float32', 'float16', 'int8'] as const)
  test(`KV as ${kvType} goes from one heap to another as bytes, and the text goes on to the bit`, async () => {
    const openOne = () => open(llama(new Random(8)), 'q4', 'relaxed', { kvType })
    const [first, second] = [await openOne(), await openOne()]
    await checkKvBytes(first, second)
    expect(first.kvLayout).toBe(`blocks of 16, ${kvType} [3, 2, keys and values, 16]`)
  })

/** Three layers, four heads on two, 64 wide. */
function llama(random: Random): DecoderSpec {
  const layers = Array.from({ length: 3 }, (_, index): DecoderLayer => {
    const of = (name: string, rows: number, columns: number) =>
      matrix(random, `layers.${index}.${name}`, rows, columns)
    return {
      attentionNorm: norm(random, 64),
      query: of('attention.query', 64, 64),
      key: of('attention.key', 32, 64),
      value: of('attention.value', 32, 64),
      output: of('attention.output', 64, 64),
      feedForwardNorm: norm(random, 64),
      gate: of('feed_forward.gate', 96, 64),
      up: of('feed_forward.up', 96, 64),
      down: of('feed_forward.down', 64, 96),
      window: 0,
      rotary: 'rotary',
    }
  })
  return {
    architecture: 'llama',
    hiddenSize: 64,
    vocabSize: VOCABULARY,
    contextLength: CONTEXT,
    heads: 4,
    kvHeads: 2,
    headDim: 16,
    attentionScale: 0.25,
    normEpsilon: 1e-5,
    activation: 'silu',
    rotaries: { rotary: plainRotary(10_000, 16) },
    embedding: matrix(random, 'embedding', VOCABULARY, 64),
    embeddingScale: 1,
    layers,
    finalNorm: norm(random, 64),
    lmHead: undefined,
  }
}

function eachLayer(spec: DecoderSpec, change: (layer: DecoderLayer) => DecoderLayer): DecoderSpec {
  return { ...spec, layers: spec.layers.map(change) }
}

function withHeadNorms(spec: DecoderSpec, random: Random): DecoderSpec {
  return eachLayer(spec, (layer) => ({ ...layer, queryNorm: norm(random, 16), keyNorm: norm(random, 16) }))
}

function withPostNorms(spec: DecoderSpec, random: Random): DecoderSpec {
  return eachLayer(spec, (layer) => ({
    ...layer,
    attentionPostNorm: norm(random, 64),
    feedForwardPostNorm: norm(random, 64),
  }))
}

function matrix(random: Random, name: string, rows: number, columns: number) {
  return matrixOf(
    name,
    rows,
    columns,
    random.floats(rows * columns).map((value) => value / Math.sqrt(columns)),
  )
}

function norm(random: Random, size: number): Float32Array {
  return random.floats(size).map((value) => 1 + value / 4)
}

function build(
  spec: DecoderSpec,
  weights: WeightForm,
): { graph: DecoderGraph; chunks: readonly Uint8Array[] } {
  const externalData = 'model.onnx.data'
  const built = buildDecoder(spec, { weights, externalPath: externalData, logitsParts: 1 })
  const { layers, hiddenSize, vocabSize, contextLength, heads, kvHeads, headDim } = spec
  const graph: DecoderGraph = {
    kind: 'decoder-gqa',
    architecture: spec.architecture,
    file: 'model.onnx',
    externalData,
    weights,
    layers: layers.length,
    heads,
    kvHeads,
    headDim,
    hiddenSize,
    vocabSize,
    contextLength,
    decoder: built.traits,
  }
  return { graph, chunks: [...built.externalData.chunks()] }
}

interface Options {
  readonly kvType?: 'float32' | 'float16' | 'int8'
  readonly kvBudgetBytes?: number
  readonly logitsBytes?: number
}

async function open(
  spec: DecoderSpec,
  weights: WeightForm,
  variant: 'plain' | 'relaxed',
  options: Options = {},
): Promise<KernelRunner> {
  const { graph, chunks } = build(spec, weights)
  // In pieces of an odd size, so that every tensor is cut somewhere.
  const pieces = (async function* () {
    const bytes = Uint8Array.from(chunks.flatMap((chunk) => [...chunk]))
    for (let from = 0; from < bytes.length; from += 1013) yield bytes.subarray(from, from + 1013)
  })()
  return create(graph, pieces, variant, options)
}

async function create(
  graph: DecoderGraph,
  pieces: AsyncIterable<Uint8Array>,
  variant: 'plain' | 'relaxed',
  { kvType = 'float32', kvBudgetBytes = 2 ** 24, ...options }: Options = {},
): Promise<KernelRunner> {
  const dist = join(import.meta.dirname, '../../packages/kernels/src/dist')
  const module = await WebAssembly.compile(await readFile(join(dist, `kernels-${variant}.wasm`)))
  const room = {
    maxRunning: 4,
    contextLength: CONTEXT,
    maxTokensPerStep: 32,
    kvBudgetBytes,
    kvType,
    ...options,
  }
  return KernelRunner.create(module, 1, graph, graph.decoder!, pieces, room)
}

function run(
  blocks: readonly number[],
  from: number,
  tokens: readonly number[],
  wantLogits: Run['wantLogits'],
): Run {
  return {
    kv: { blocks: Int32Array.from(blocks) },
    from,
    tokens: Int32Array.from(tokens),
    wantLogits,
    top: 0,
  }
}

async function step(runner: KernelRunner, runs: readonly Run[]): Promise<Float32Array[]> {
  const { outputs } = await runner.run({ runs })
  return outputs.map(({ values }) => values.slice())
}

function rowsOf(values: Float32Array | undefined): number[][] {
  const count = (values?.length ?? 0) / VOCABULARY
  return Array.from({ length: count }, (_, row) => [
    ...values!.subarray(row * VOCABULARY, (row + 1) * VOCABULARY),
  ])
}

/** The largest difference, relative to the largest wanted. */
function error(found: Float32Array | undefined, wanted: readonly number[]): number {
  expect(found?.length).toBe(wanted.length)
  const scale = Math.max(...wanted.map(Math.abs))
  return Math.max(...wanted.map((value, index) => Math.abs(value - (found?.[index] ?? NaN)))) / scale
}
