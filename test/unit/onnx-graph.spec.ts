import { expect, test } from 'playwright/test'
import { randomDecoder } from '../../packages/convert/src/random-model.ts'
import { readOnnxGraph } from '../../packages/runtime/src/onnx/onnx-graph.ts'
import { exportForeign } from '../foreign/write-foreign.ts'

const SHAPE = { hiddenSize: 32, layers: 2, heads: 4, kvHeads: 2, hiddenDim: 44, vocabSize: 300 }

function exported(inline: boolean): Uint8Array {
  const spec = randomDecoder(SHAPE, 24, 5, true)
  return exportForeign(spec, { style: 'optimum', dtype: 'float32', positions: 'input', inline }).graph
}

test('a graph says its inputs, outputs, nodes, their whole numbers, and the files of its weights', () => {
  const graph = readOnnxGraph(exported(false))
  expect(graph.inputs.slice(0, 4)).toEqual([
    { name: 'input_ids', type: 7, shape: ['batch_size', 'sequence_length'] },
    { name: 'attention_mask', type: 7, shape: ['batch_size', 'total_sequence_length'] },
    { name: 'position_ids', type: 7, shape: ['batch_size', 'sequence_length'] },
    { name: 'past_key_values.0.key', type: 1, shape: ['batch_size', 2, 'past_sequence_length', 8] },
  ])
  expect(graph.outputs.map(({ name }) => name)).toEqual([
    'logits',
    'present.0.key',
    'present.0.value',
    'present.1.key',
    'present.1.value',
  ])
  const present = graph.nodes.find(({ outputs }) => outputs.includes('present.1.value'))
  expect(present).toMatchObject({
    opType: 'Concat',
    domain: '',
    inputs: ['past_key_values.1.value', '1.value.fresh'],
  })
  expect(present?.integers.get('axis')).toBe(-2)
  expect(graph.externalFiles).toEqual(['model.onnx_data'])
})

test('weights within the graph are passed over: none is held, however many bytes they have', () => {
  const file = exported(true)
  expect(file.length).toBeGreaterThan(100_000)
  const graph = readOnnxGraph(file)
  expect(graph.externalFiles).toEqual([])
  expect(JSON.stringify(graph).length).toBeLessThan(20_000)
})

test('weights that old exporters list among the inputs need not be fed', () => {
  const weight = field(5, field(8, text('w')))
  const inputs = [field(11, field(1, text('w'))), field(11, field(1, text('x')))]
  const file = field(7, Uint8Array.of(...weight, ...inputs.flatMap((input) => [...input])))
  expect(readOnnxGraph(file).inputs.map(({ name }) => name)).toEqual(['x'])
})

test('a file that is cut off anywhere is refused, or is a graph without its last parts; nothing else happens', () => {
  const file = exported(false)
  for (let length = 0; length < file.length; length += 97) {
    try {
      expect(readOnnxGraph(file.subarray(0, length)).nodes.length).toBeGreaterThanOrEqual(0)
    } catch (error) {
      expect(String(error)).toMatch(/it ends in the middle|it holds no graph/)
    }
  }
})

test('a file whose bytes were changed anywhere is read or refused, in no more time', () => {
  const file = exported(false)
  const started = performance.now()
  for (let at = 0; at < file.length; at += 61) {
    const broken = file.slice()
    broken[at] = (broken[at] ?? 0) ^ 0xff
    try {
      readOnnxGraph(broken)
    } catch (error) {
      expect(error).toBeInstanceOf(Error)
    }
  }
  expect(performance.now() - started).toBeLessThan(20_000)
})

for (const [what, bytes, message] of [
  ['is empty', [], 'it holds no graph'],
  ['is text', [...new TextEncoder().encode('this is not a graph')], /it ends|a field/],
  ['promises more bytes than it has', [0x3a, 0xff, 0xff, 0xff, 0xff, 0x0f], 'in the middle of a field'],
  [
    'has a length below zero',
    [0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
    'in the middle of a field',
  ],
  ['has a number that never ends', [0x08, ...new Array<number>(40).fill(0xff)], 'a number that does not end'],
  ['has a group, which nobody writes', [0x0b], 'unknown kind'],
  ['has a graph that is a number', [0x38, 0x01], 'a field of the kind 0 where 2 belongs'],
] as const) {
  test(`a file that ${what} is refused with a reason`, () => {
    expect(() => readOnnxGraph(Uint8Array.from(bytes))).toThrow(message)
  })
}

test('a small file with half a million empty parts is refused before they fill the memory', () => {
  const nodes = new Uint8Array(2 * 600_000)
  for (let at = 0; at < nodes.length; at += 2) nodes[at] = 0x0a // node, of length 0
  expect(() => readOnnxGraph(field(7, nodes))).toThrow('more than 500000 parts')
})

test('a name as long as a weight is no name', () => {
  const node = field(1, field(4, new Uint8Array(100_000).fill(0x41)))
  expect(() => readOnnxGraph(field(7, node))).toThrow('a text of 100000 bytes')
})

/** A field of bytes. */
function field(number: number, bytes: Uint8Array): Uint8Array {
  const length: number[] = []
  let rest = bytes.length
  for (; rest > 127; rest = Math.trunc(rest / 128)) length.push((rest % 128) + 128)
  const whole = new Uint8Array(2 + length.length + bytes.length)
  whole.set([number * 8 + 2, ...length, rest])
  whole.set(bytes, 2 + length.length)
  return whole
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}
