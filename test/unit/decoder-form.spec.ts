import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { expect, test } from 'playwright/test'
import { manifestProblem } from '@tabserve/protocol'
import type { EngineError, OnnxDecoderGraph } from '@tabserve/protocol'
import { randomDecoder } from '../../packages/convert/src/random-model.ts'
import { SHARED_ABSENT, shared } from '../../packages/convert/test/shared.ts'
import { decoderFormOf, readDecoderForm } from '../../packages/runtime/src/backend/foreign/decoder-form.ts'
import type { OnnxGraph, OnnxNode, OnnxValue } from '../../packages/runtime/src/onnx/onnx-graph.ts'
import { readOnnxGraph } from '../../packages/runtime/src/onnx/onnx-graph.ts'
import type { ForeignOptions } from '../foreign/write-foreign.ts'
import { exportForeign } from '../foreign/write-foreign.ts'

const SHAPE = { hiddenSize: 32, layers: 2, heads: 4, kvHeads: 2, hiddenDim: 44, vocabSize: 300 }
const PLAIN = { dtype: 'float32', positions: 'input', inline: true } as const

function exported(options: ForeignOptions) {
  return exportForeign(randomDecoder(SHAPE, 24, 5, true), options)
}

function open(options: ForeignOptions): { graph: OnnxGraph; described: OnnxDecoderGraph } {
  const { graph, described } = exported(options)
  return { graph: readOnnxGraph(graph), described }
}

test("genai's export keeps its cache at a fixed capacity, optimum's grows; element types are the graph's", () => {
  for (const style of ['genai', 'optimum'] as const) {
    for (const dtype of ['float32', 'float16'] as const) {
      const { graph, described } = open({ ...PLAIN, style, dtype })
      const form = decoderFormOf(graph, described)
      expect(form).toMatchObject({
        form: style === 'genai' ? 'gqa' : 'concat',
        dtype,
        logits: { name: 'logits', dtype, lastOnly: false },
        alone: undefined,
        kvHeads: 2,
        headDim: style === 'genai' ? 16 : 8,
      })
      expect(form.past[3]).toBe('past_key_values.1.value')
      expect(form.present[3]).toBe('present.1.value')
      expect(form.numbers).toEqual([
        { name: 'input_ids', role: 'ids', type: 'int64', rank: 2 },
        { name: 'attention_mask', role: 'mask', type: 'int64', rank: 2 },
        { name: 'position_ids', role: 'positions', type: 'int64', rank: 2 },
      ])
    }
  }
})

test('caches are found by what the graph does with them, whatever they are called', () => {
  for (const style of ['genai', 'optimum'] as const) {
    const { graph, described } = open({ ...PLAIN, style })
    const form = decoderFormOf(
      renamed(graph, (name) => name.replace(/^(past|present)\w*\.(\d+)\./, 'c$2$1')),
      described,
    )
    expect(form.past[1]).toBe('c0pastvalue')
    expect(form.present[1]).toBe('c0presentvalue')
  }
})

test('GroupQueryAttention whose lengths are inputs gets them by their place', () => {
  const { graph, described } = open({ ...PLAIN, style: 'genai' })
  const form = decoderFormOf(
    {
      ...graph,
      inputs: [
        ...graph.inputs.filter(({ name }) => name !== 'attention_mask'),
        { name: 'seqlens_k', type: 6, shape: ['b'] },
        { name: 'total_length', type: 6, shape: [] },
      ],
    },
    described,
  )
  expect(form.numbers.slice(2)).toEqual([
    { name: 'seqlens_k', role: 'seqlens', type: 'int32', rank: 1 },
    { name: 'total_length', role: 'total', type: 'int32', rank: 0 },
  ])
})

test('where somebody else looks at the past of GroupQueryAttention, it must be exact, and rows go alone', () => {
  const { graph, described } = open({ ...PLAIN, style: 'genai' })
  const looking = node('Shape', ['past_key_values.0.key'], ['length'])
  const form = decoderFormOf({ ...graph, nodes: [looking, ...graph.nodes] }, described)
  expect(form.form).toBe('concat')
  expect(form.alone).toContain('its past must be exact')
})

test('rows go alone through a graph that quantises them by one scale, or has no mask', () => {
  const { graph, described } = open({ ...PLAIN, style: 'genai' })
  const blending = node('DynamicQuantizeLinear', ['x'], ['y', 'scale', 'zero'])
  expect(decoderFormOf({ ...graph, nodes: [...graph.nodes, blending] }, described).alone).toContain(
    'one scale',
  )
  const optimum = open({ ...PLAIN, style: 'optimum' })
  const inputs = optimum.graph.inputs.filter(({ name }) => name !== 'attention_mask')
  expect(decoderFormOf({ ...optimum.graph, inputs }, optimum.described).alone).toContain('no attention mask')
})

const REFUSED: readonly (readonly [
  what: string,
  change: (graph: OnnxGraph) => OnnxGraph,
  message: string,
])[] = [
  ['use_cache_branch', withInput({ name: 'use_cache_branch', type: 9, shape: [1] }), 'use_cache_branch'],
  [
    'another cache',
    withInput({ name: 'past_conv.0', type: 1, shape: ['b', 4, 3] }),
    'past_conv.0, [b, 4, 3]',
  ],
  [
    'embeddings in place of ids',
    (graph) => renamed(graph, (name) => name.replace('input_ids', 'inputs_embeds')),
    'inputs_embeds',
  ],
  [
    'a mask of another rank',
    withShape('attention_mask', ['b', 1, 's', 't']),
    'attention_mask has the shape [b, 1, s, t]',
  ],
  ['a mask of floats', withType('attention_mask', 1), 'attention_mask is neither int32 nor int64'],
  ['a cache of int8', withType('past_key_values.1.key', 3), 'past_key_values.1.key'],
  [
    'a cache of other heads',
    withShape('past_key_values.0.key', ['b', 7, 'p', 8]),
    '[b, 7, p, 8], not [rows, 2, length, 8]',
  ],
  ['a cache that grows along its heads', withAxis(1), 'along axis 1'],
  ['another vocabulary', withShape('logits', ['b', 's', 301]), 'logits has the shape [b, s, 301]'],
  [
    'a second output',
    (graph) => ({
      ...graph,
      outputs: [...graph.outputs, { name: 'hidden', type: 1, shape: ['b', 's', 32] }],
    }),
    'logits and hidden',
  ],
  [
    'a cache that is made anew',
    (graph) => ({
      ...graph,
      nodes: graph.nodes.map((one) => (one.outputs[0] === 'present.1.key' ? { ...one, opType: 'Mul' } : one)),
    }),
    '3 caches were found where 2 layers have 4; its other outputs are logits of Identity, present.1.key of Mul',
  ],
]

for (const [what, change, message] of REFUSED) {
  test(`a graph with ${what} is refused, and the message says what was found`, () => {
    const { graph, described } = open({ ...PLAIN, style: 'optimum' })
    expect(() => decoderFormOf(change(graph), described)).toThrow(message)
  })
}

test('a file that is no graph is bad_model, with the file and advice', () => {
  const { described } = exported({ ...PLAIN, style: 'genai' })
  const failure = caught(() => readDecoderForm(new TextEncoder().encode('<html>'), described))
  expect(failure).toMatchObject({ name: 'EngineError', code: 'bad_model', file: 'onnx/model.onnx' })
  expect(failure.message).toContain('Choose another export')
})

test("onnxruntime-genai's own test models: one of GroupQueryAttention is read, one with keys and values in one tensor refused", async () => {
  test.skip(!existsSync(shared('models/onnx')), SHARED_ABSENT)
  const read = async (file: string) => new Uint8Array(await readFile(shared(`models/onnx/${file}`)))
  const sizes = { hiddenSize: 64, vocabSize: 1000, contextLength: 128 }
  const base = { kind: 'decoder-onnx', architecture: 'x', file: 'x.onnx', externalData: [] } as const
  const qwen = { ...base, ...sizes, layers: 2, heads: 4, kvHeads: 2, headDim: 16 }
  expect(readDecoderForm(await read('tiny-qwen35/decoder.onnx'), qwen)).toMatchObject({
    form: 'gqa',
    dtype: 'float16',
    logits: { dtype: 'float16' },
    alone: undefined,
  })
  const gpt2 = { ...base, ...sizes, layers: 5, heads: 4, kvHeads: 4, headDim: 8 }
  const bytes = await read('tiny-random-gpt2-fp32/past.onnx')
  expect(() => readDecoderForm(bytes, gpt2)).toThrow('present_0 of Attention')
})

test('a manifest of a foreign graph must list the files of its weights', () => {
  const { described } = exported({ ...PLAIN, style: 'genai', inline: false })
  const hash = '0'.repeat(64)
  const paths = [described.file, 'onnx/model.onnx_data', 't.json', 'c.json']
  const manifest = {
    format: 'tabserve-model',
    formatVersion: 1,
    name: 'foreign',
    version: '1',
    task: 'generate',
    parameters: 1,
    graph: described,
    tokenizer: { file: 't.json', config: 'c.json', eosTokenIds: [1, 2], addBos: false },
    files: paths.map((path) => ({ path, bytes: 1, sha256: hash })),
  }
  expect(manifestProblem(manifest)).toBeUndefined()
  const without = manifest.files.filter(({ path }) => path !== 'onnx/model.onnx_data')
  expect(manifestProblem({ ...manifest, files: without })).toContain('onnx/model.onnx_data')
  const asText = { ...manifest, graph: { ...described, externalData: 'model.onnx_data' } }
  expect(manifestProblem(asText)).toContain('must be a list of paths')
  const other = { ...manifest, graph: { ...described, kind: 'decoder-onyx' } }
  expect(manifestProblem(other)).toContain('decoder-gqa, decoder-onnx')
})

function caught(job: () => unknown): EngineError {
  try {
    job()
  } catch (error) {
    return error as EngineError
  }
  throw new Error('nothing was thrown')
}

function node(opType: string, inputs: readonly string[], outputs: readonly string[]): OnnxNode {
  return { opType, domain: '', inputs, outputs, integers: new Map() }
}

function withInput(value: OnnxValue): (graph: OnnxGraph) => OnnxGraph {
  return (graph) => ({ ...graph, inputs: [...graph.inputs, value] })
}

function withShape(name: string, shape: readonly (number | string)[]): (graph: OnnxGraph) => OnnxGraph {
  return changed(name, (value) => ({ ...value, shape }))
}

function withType(name: string, type: number): (graph: OnnxGraph) => OnnxGraph {
  return changed(name, (value) => ({ ...value, type }))
}

function withAxis(axis: number): (graph: OnnxGraph) => OnnxGraph {
  return (graph) => ({
    ...graph,
    nodes: graph.nodes.map((one) =>
      one.outputs[0]?.startsWith('present.') ? { ...one, integers: new Map([['axis', axis]]) } : one,
    ),
  })
}

function changed(name: string, change: (value: OnnxValue) => OnnxValue): (graph: OnnxGraph) => OnnxGraph {
  const each = (values: readonly OnnxValue[]) =>
    values.map((value) => (value.name === name ? change(value) : value))
  return (graph) => ({ ...graph, inputs: each(graph.inputs), outputs: each(graph.outputs) })
}

function renamed(graph: OnnxGraph, rename: (name: string) => string): OnnxGraph {
  const values = (all: readonly OnnxValue[]) => all.map((value) => ({ ...value, name: rename(value.name) }))
  return {
    ...graph,
    inputs: values(graph.inputs),
    outputs: values(graph.outputs),
    nodes: graph.nodes.map((one) => ({
      ...one,
      inputs: one.inputs.map(rename),
      outputs: one.outputs.map(rename),
    })),
  }
}
