import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { expect, test } from 'playwright/test'
import { buildDecoder } from '../../packages/convert/src/graph/decoder.ts'
import type { DecoderSpec } from '../../packages/convert/src/graph/decoder-spec.ts'
import { randomDecoder } from '../../packages/convert/src/random-model.ts'
import type { TensorValue, Tensors, WeightForm } from '../../packages/protocol/src/index.ts'
import { InferSession } from '../../packages/runtime/src/backend/infer-session.ts'
import { PublicOrt } from '../../packages/runtime/src/backend/public-ort.ts'
import { halveGraph } from '../../packages/runtime/src/onnx/half-graph.ts'
import type { OnnxGraph } from '../../packages/runtime/src/onnx/onnx-graph.ts'
import { readOnnxGraph } from '../../packages/runtime/src/onnx/onnx-graph.ts'

const ORT = join(import.meta.dirname, '../../packages/runtime/node_modules/onnxruntime-web/dist')
/** Grouped heads of 16; a hidden width that fills no whole 4-bit blocks, so that q4 has fp32 matrices too. */
const SHAPE = { hiddenSize: 64, layers: 2, heads: 4, kvHeads: 2, hiddenDim: 172, vocabSize: 320 }
const CAPACITY = 16
const TOKENS = [1, 270, 301, 9, 44, 77, 260]
/** TensorProto.DataType. */
const [FLOAT, HALF] = [1, 10]

const PLAIN = randomDecoder(SHAPE, 32, 5, true)
/** Everything that a family of decoders may have besides. */
const RICH: DecoderSpec = {
  ...PLAIN,
  embeddingScale: 8,
  activation: 'gelu-tanh',
  attentionSoftcap: 50,
  logitsSoftcap: 30,
  layers: PLAIN.layers.map((layer, index) => ({
    ...layer,
    query: { ...layer.query, bias: new Float32Array(64).fill(0.25) },
    queryNorm: new Float32Array(16).fill(1.5),
    keyNorm: new Float32Array(16).fill(0.75),
    attentionPostNorm: new Float32Array(64).fill(0.5),
    feedForwardPostNorm: new Float32Array(64).fill(0.5),
    window: index === 0 ? 4 : 0,
  })),
}

for (const [kind, spec] of Object.entries({ plain: PLAIN, rich: RICH }))
  for (const weights of ['fp32', 'fp16', 'q4'] as const)
    for (const form of ['activations', 'attention'] as const)
      test(`a ${kind} decoder of ${weights} weights with ${form} in halves takes and gives halves, and says nearly the same`, async () => {
        const { model, externalData } = built(spec, weights)
        const halves = halveGraph(model, form)
        const [before, after] = [readOnnxGraph(model), readOnnxGraph(halves)]
        expect(typesOf(after.inputs)).toEqual(typesOf(before.inputs, HALF))
        expect(typesOf(after.outputs)).toEqual(typesOf(before.outputs, HALF))
        expect(Buffer.from(halves).includes('no_sink')).toBe(false)
        const wanted = await logitsOf(model, externalData, FLOAT)
        const found = await logitsOf(halves, externalData, HALF)
        const range = Math.max(...wanted) - Math.min(...wanted)
        const differences = wanted.map((value, index) => Math.abs(value - found[index]!))
        expect(Math.max(...differences) / range).toBeLessThan(0.01)
        // Otherwise nothing was rounded.
        expect(Math.max(...differences)).toBeGreaterThan(0)
      })

test('halves reach from the embedding to the logits, or into attention and out of it', () => {
  const { model } = built(PLAIN, 'q4')
  const all = readOnnxGraph(halveGraph(model, 'activations'))
  const constants = castsOf(all).filter(({ inputs }) => !inputs[0]!.endsWith('.half'))
  const used = new Set(all.nodes.filter(({ opType }) => opType !== 'Cast').flatMap(({ inputs }) => inputs))
  for (const { inputs } of constants) expect(used).not.toContain(inputs[0])
  expect(castsOf(all).filter(({ integers }) => integers.get('to') === FLOAT)).toMatchObject([
    { inputs: ['logits.half'], outputs: ['logits'] },
  ])
  const attention = castsOf(readOnnxGraph(halveGraph(model, 'attention')))
  // Of each layer queries, keys and values in one, and what comes out; of all layers two tables.
  expect(attention.map(({ inputs }) => inputs[0])).toEqual([
    'layers.0.attention.query_key_value.product',
    'rotary.cos',
    'rotary.sin',
    'layers.0.attention.half',
    'layers.1.attention.query_key_value.product',
    'layers.1.attention.half',
  ])
})

test('a file that is cut off anywhere is refused, or is a graph without its last parts', () => {
  const { model } = built(PLAIN, 'q4')
  for (let length = 0; length < model.length; length += 53)
    for (const form of ['activations', 'attention'] as const)
      try {
        halveGraph(model.subarray(0, length), form)
      } catch (error) {
        expect(String(error)).toMatch(/it ends in the middle/)
      }
})

function built(spec: DecoderSpec, weights: WeightForm): { model: Uint8Array; externalData: Uint8Array } {
  const { model, externalData } = buildDecoder(spec, { weights, externalPath: 'data', logitsParts: 1 })
  return { model, externalData: new Uint8Array(Buffer.concat([...externalData.chunks()])) }
}

/** Names and types of all; of floats that are no logits, `floats` in their place. */
function typesOf(values: OnnxGraph['inputs'], floats: number = FLOAT): (readonly [string, number])[] {
  return values.map(({ name, type }) => [name, type === FLOAT && name !== 'logits' ? floats : type])
}

function castsOf({ nodes }: OnnxGraph): OnnxGraph['nodes'] {
  return nodes.filter(({ opType }) => opType === 'Cast')
}

/** Behind each of the tokens, read in two pieces, on onnxruntime's CPU, which computes halves in floats where it has no kernel for them. */
async function logitsOf(model: Uint8Array, data: Uint8Array, kv: number): Promise<number[]> {
  const [mjs = '', wasm = ''] = ['mjs', 'wasm'].map(
    (ending) => pathToFileURL(join(ORT, `ort-wasm-simd-threaded.${ending}`)).href,
  )
  const session = await InferSession.create(new PublicOrt({ mjs, wasm }, 1), model, [{ path: 'data', data }])
  let cache: Tensors = emptyCache(kv)
  const logits: number[] = []
  for (const [from, to] of [
    [0, 4],
    [4, TOKENS.length],
  ] as const) {
    const ids = TOKENS.slice(from, to)
    const outputs = await session.run(
      {
        ...cache,
        input_ids: int32(ids, [1, ids.length]),
        seqlens_k: int32([to - 1], [1]),
        total_sequence_length: int32([to], []),
        logits_index: int32([...ids.keys()], [ids.length]),
      },
      undefined,
    )
    logits.push(...(outputs['logits']!.data as Float32Array))
    cache = Object.fromEntries(
      Object.keys(cache).map((name) => [name, outputs[name.replace('past_key_values', 'present')]!]),
    )
  }
  await session.dispose()
  return logits
}

function emptyCache(kv: number): Tensors {
  const shape = [1, SHAPE.kvHeads, CAPACITY, 16]
  const length = SHAPE.kvHeads * CAPACITY * 16
  const empty = (): TensorValue =>
    kv === HALF
      ? { datatype: 'FP16', shape, data: new Uint16Array(length) }
      : { datatype: 'FP32', shape, data: new Float32Array(length) }
  const parts = Array.from({ length: SHAPE.layers }, (_, layer) => [`${layer}.key`, `${layer}.value`]).flat()
  return Object.fromEntries(parts.map((part) => [`past_key_values.${part}`, empty()]))
}

function int32(values: readonly number[], shape: readonly number[]): TensorValue {
  return { datatype: 'INT32', shape, data: Int32Array.from(values) }
}
