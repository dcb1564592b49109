import { readFileSync } from 'node:fs'
import { expect, test } from 'playwright/test'
import {
  ResponseCache,
  Sequences,
  checkTensors,
  findLayout,
  initialState,
  resolveBatching,
  resolveSequencing,
} from '../../packages/engine/src/index.ts'
import type { TensorSpec } from '../../packages/protocol/src/index.ts'
import { isOnnxFile, withBareManifest } from '../../packages/runtime/src/models/bare-onnx.ts'
import { folderOf } from '../../packages/runtime/src/models/blob-source.ts'
import { parseManifest } from '../../packages/runtime/src/models/manifest-text.ts'
import { readOnnxGraph } from '../../packages/runtime/src/onnx/onnx-graph.ts'
import { signatureOf } from '../../packages/runtime/src/onnx/signature.ts'
import { widenBatch } from '../../packages/runtime/src/onnx/widen-batch.ts'
import { decodeValue, encodeValue } from '../../packages/runtime/src/responses/response-codec.ts'
import { Responses } from '../../packages/runtime/src/responses/responses.ts'
import { memoryChunkStore } from '../../packages/runtime/src/storage/memory-chunk-store.ts'
import { NO_SHARED, SHARED, hasShared } from '../browser/fixtures.ts'

const IMAGE: readonly TensorSpec[] = [
  { name: 'image', datatype: 'FP32', shape: ['batch', 3, 2] },
  { name: 'ids', datatype: 'INT64', shape: ['batch', '?'] },
]

test('a tensor that does not fit is refused with its name, what is wanted and what came', () => {
  const image = { datatype: 'FP32', shape: [1, 3, 2], data: new Float32Array(6) } as const
  const ids = { datatype: 'INT64', shape: [1, 4], data: new BigInt64Array(4) } as const
  const refused = (inputs: object) => {
    try {
      checkTensors(inputs as never, IMAGE, 'input')
      return undefined
    } catch (error) {
      const { code, param, message } = error as { code: string; param: string; message: string }
      return `${code} ${param}: ${message}`
    }
  }
  expect(refused({ image, ids })).toBeUndefined()
  expect(refused({ image })).toBe(
    'bad_request inputs.ids: The input ids must be INT64 [batch, ?], not nothing.',
  )
  expect(refused({ image, ids, mask: ids })).toBe(
    'bad_request inputs.mask: There is no input mask. There are: image, ids.',
  )
  expect(refused({ image: { ...image, shape: [1, 2, 3] }, ids })).toContain(
    'must be FP32 [batch, 3, 2], not FP32 [1, 2, 3].',
  )
  expect(refused({ image: { ...image, datatype: 'FP64', data: new Float64Array(6) }, ids })).toContain(
    'not FP64 [1, 3, 2].',
  )
  expect(refused({ image: { ...image, data: new Float32Array(5) }, ids })).toContain(
    'with 5 elements instead of 6',
  )
  expect(refused({ image: { ...image, data: new Uint8Array(6) }, ids })).toContain(
    'with data that is no Float32Array',
  )
  const two = { ...ids, shape: [2, 2] }
  expect(refused({ image, ids: two })).toContain('not INT64 [2, 2]: batch is 1 in image')
  expect(refused({ image: null, ids })).toContain('a tensor whose shape is undefined')
})

test('options of batching that mean nothing are refused', () => {
  expect(() => resolveBatching({ maxBatch: 3 } as never, 1)).toThrow('batching has no option maxBatch.')
  expect(() => resolveBatching({ maxBatchSize: 0 }, 1)).toThrow(
    'batching.maxBatchSize must be a whole number',
  )
  expect(() => resolveBatching({ maxBatchSize: 4, preferredBatchSizes: [8] }, 1)).toThrow('sizes up to 4')
  expect(() => resolveBatching({ queue: { timeoutMs: 0 } }, 1)).toThrow('batching.queue.timeoutMs')
  expect(() => resolveBatching({ padding: { dimension: 'n', buckets: [4, 2] } }, 1)).toThrow('a rising list')
})

test('rows lie where all outputs have a dimension of one name; a graph without one says why', () => {
  const output: TensorSpec = { name: 'out', datatype: 'FP32', shape: ['batch', 2] }
  expect(findLayout(IMAGE, [output]).layout?.inputs.get('ids')?.row).toBe(0)
  expect(findLayout(IMAGE, [{ ...output, shape: [1, 2] }]).reason).toContain(
    'has none of the dimensions batch',
  )
  // Exporters lose the names of outputs.
  const text: TensorSpec[] = ['input_ids', 'attention_mask'].map((name) => {
    return { name, datatype: 'INT64', shape: ['batch_size', 'sequence_length'] }
  })
  const hidden: TensorSpec = { name: 'hidden', datatype: 'FP32', shape: ['Add_dim_0', 'Add_dim_1', 384] }
  expect(findLayout(text, [hidden]).layout?.outputs.get('hidden')).toEqual({ row: 0, length: 1, fill: 0 })
  expect(findLayout([{ ...IMAGE[0]!, shape: [1, 3, 2] }], [output]).reason).toContain('no open dimension')
  expect(findLayout(IMAGE, [output], null).layout).toBeUndefined()
  const rate: TensorSpec = { name: 'rate', datatype: 'INT64', shape: [] }
  expect(findLayout([...IMAGE, rate], [output]).layout?.inputs.get('rate')?.row).toBeUndefined()
})

test('kept answers go by bytes, the least recently used first', () => {
  const cache = new ResponseCache<string>(10)
  cache.keep('a', 'A', 4)
  cache.keep('b', 'B', 4)
  expect(cache.find('a')).toBe('A')
  expect(cache.keep('c', 'C', 4)).toEqual(['b'])
  expect(cache.keep('huge', 'H', 11)).toEqual([])
  expect([cache.find('b'), cache.find('huge'), cache.find('c')]).toEqual([undefined, undefined, 'C'])
  expect(cache.stats()).toEqual({ hits: 2, misses: 2, evictions: 1, entries: 2, bytes: 8 })
})

test('answers in a store outlive their worker, and belong to one model', async () => {
  const store = memoryChunkStore()
  const first = await Responses.open('model 1', 1000, store)
  const key = (await first.keyOf({ x: Float32Array.of(1) })) ?? ''
  await first.keep(key, { y: Int32Array.of(7, -8), label: 'cat' })
  const second = await Responses.open('model 1', 1000, store)
  expect(await second.find(key)).toEqual({ y: Int32Array.of(7, -8), label: 'cat' })
  expect(second.stats()).toMatchObject({ hits: 1, entries: 1 })
  const other = await Responses.open('model 2', 1000, store)
  expect(await other.keyOf({ x: Float32Array.of(1) })).not.toBe(key)
  expect(await first.keyOf({ x: () => 1 })).toBeUndefined()
})

test('values become bytes and values again, whatever their keys are called; equal ones the same bytes', () => {
  const value = {
    '10': Float32Array.of(1.5, NaN),
    '2': BigInt64Array.of(-5n),
    text: ['ä', null, { deep: Uint8Array.of(1, 2, 3) }],
  }
  const bytes = encodeValue(value)
  expect(decodeValue(bytes!)).toEqual(value)
  const { text, ...others } = value
  expect(encodeValue({ text, ...others })).toEqual(bytes)
  for (const odd of [new Map(), NaN, -0, 1n, new Date(), { f() {} }])
    expect(encodeValue({ odd })).toBeUndefined()
})

test('a sequence is open from its start to its end, or until it was idle for too long', () => {
  const inputs: TensorSpec[] = [
    { name: 'x', datatype: 'FP32', shape: ['batch', 'n'] },
    { name: 'state', datatype: 'FP32', shape: [2, 'batch', 3] },
  ]
  const outputs: TensorSpec[] = [
    { name: 'y', datatype: 'FP32', shape: ['batch', 1] },
    { name: 'stateN', datatype: 'FP32', shape: ['?', 'batch', '?'] },
  ]
  const sequencing = resolveSequencing({ idleTimeoutMs: 100, maxSequences: 2 }, inputs, outputs)
  expect(sequencing.state).toEqual([{ input: 'state', output: 'stateN' }])
  const isRow = (name: string, axis: number) => name === 'state' && axis === 1
  const zeros = initialState(sequencing.state[0]!, inputs, isRow)
  expect(zeros).toEqual({ datatype: 'FP32', shape: [2, 1, 3], data: new Float32Array(6) })
  expect(() => initialState(sequencing.state[0]!, inputs, () => false)).toThrow('say it in sequence.state')

  const sequences = new Sequences(sequencing, () => ({ state: zeros }))
  expect(() => sequences.enter({ id: 'a' }, 0)).toThrow('is not open')
  const first = sequences.enter({ id: 'a', start: true }, 0)
  expect(() => sequences.enter({ id: 'a', start: true }, 10)).toThrow('has begun already')
  sequences.enter({ id: 'b', start: true }, 50)
  expect(() => sequences.enter({ id: 'c', start: true }, 60)).toThrow('2 sequences are open')
  expect(sequences.enter({ id: 'a' }, 90)).toBe(first)
  expect(() => sequences.enter({ id: 'b' }, 151)).toThrow('had no chunk for 100 ms')
  sequences.end(first)
  expect(() => sequences.enter({ id: 'a' }, 160)).toThrow('is not open')
  expect(sequences.stats()).toEqual({ open: 0, started: 2, expired: 1 })
})

test('one picked .onnx file is a model, with the files that its weights lie in', async () => {
  const blob = new Blob([Uint8Array.of(1, 2, 3)])
  const picked = [
    { path: 'my model.onnx_data', blob },
    { path: 'my model.onnx', blob },
  ]
  const files = folderOf((await withBareManifest(picked)) ?? [])
  const text = await files.find(({ path }) => path === 'manifest.json')?.blob.text()
  const manifest = parseManifest(text ?? '', '')
  expect(manifest).toMatchObject({
    name: 'my-model',
    task: 'infer',
    graph: { kind: 'onnx', file: 'my model.onnx', externalData: ['my model.onnx_data'] },
  })
  expect(manifest.files[0]?.sha256).toBe('039058c6f2c0cb492c533b0a4d14ef77cc0f78abccced5287d84a1a2011cfb81')
  expect(await withBareManifest([...picked, { path: 'b.onnx', blob }])).toBeUndefined()
  expect([isOnnxFile('https://a/b.onnx/'), isOnnxFile('https://a/b.onnx.zip')]).toEqual([true, false])
})

test('a graph for one row is opened for many, one that fixes rows elsewhere is not', () => {
  test.skip(!hasShared, NO_SHARED)
  const read = (name: string) => readFileSync(`${SHARED}/models/onnx/${name}`)
  const mnist = read('mnist-12.onnx')
  const widened = widenBatch(mnist, readOnnxGraph(mnist))
  expect(signatureOf(readOnnxGraph(widened!))).toEqual({
    inputs: [{ name: 'Input3', datatype: 'FP32', shape: ['batch', 1, 28, 28] }],
    outputs: [{ name: 'Plus214_Output_0', datatype: 'FP32', shape: ['batch', 10] }],
  })
  const open = read('silero_vad_16k_op15.onnx')
  expect(widenBatch(open, readOnnxGraph(open))).toBeUndefined()
  const { inputs, outputs } = signatureOf(readOnnxGraph(open))
  const { layout } = findLayout(inputs, outputs)
  expect([layout?.inputs.get('state')?.row, layout?.inputs.get('sr')?.row]).toEqual([1, undefined])
})
