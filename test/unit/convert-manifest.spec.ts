import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { manifestProblem } from '@tabserve/protocol'
import type { WeightForm } from '@tabserve/protocol'
import type { DecoderSpec } from '../../packages/convert/src/graph/decoder-spec.ts'
import { stack } from '../../packages/convert/src/graph/matrix.ts'
import type { Matrix } from '../../packages/convert/src/graph/matrix.ts'
import { padHeads } from '../../packages/convert/src/graph/pad-heads.ts'
import { randomDecoder } from '../../packages/convert/src/random-model.ts'
import { vocabularyTokenizer } from '../../packages/convert/src/tokenizer/model-tokenizer.ts'
import { syntheticVocabulary } from '../../packages/convert/src/tokenizer/synthetic.ts'
import { writeModel } from '../../packages/convert/src/write-model.ts'
import type { ConvertedManifest } from '../../packages/convert/src/make-model.ts'
import { relativeRmse } from '../../packages/convert/test/decoder-session.ts'
import { TensorReader } from '../../packages/convert/test/read-tensor.ts'

/** Heads of 8, which are padded to 16; a hidden width that fills no whole 4-bit blocks. */
const SHAPE = { hiddenSize: 32, layers: 2, heads: 4, kvHeads: 2, hiddenDim: 44, vocabSize: 320 }

let folder = ''
test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convert-manifest-'))
})
test.afterEach(() => rm(folder, { recursive: true, force: true }))

async function write(spec: DecoderSpec, weights: WeightForm): Promise<ConvertedManifest> {
  const tokenizer = vocabularyTokenizer(syntheticVocabulary(SHAPE.vocabSize), spec.contextLength)
  const options = { out: folder, name: 'traits', version: '1', weights, logitsSplit: 5, force: true }
  await rm(folder, { recursive: true, force: true })
  return (await writeModel(spec, tokenizer, options)).manifest
}

function whole(matrix: Matrix): Float32Array {
  return matrix.read(0, matrix.rows)
}

/** Every weight under its name in the manifest. */
function expectedTensors(spec: DecoderSpec): Map<string, Float32Array> {
  const named = new Map([
    ['embedding', whole(spec.embedding)],
    ['final_norm', spec.finalNorm],
  ])
  if (spec.lmHead !== undefined) named.set('lm_head', whole(spec.lmHead))
  padHeads(spec).layers.forEach((layer, index) => {
    const prefix = `layers.${index}`
    named.set(`${prefix}.attention_norm`, layer.attentionNorm)
    named.set(`${prefix}.attention.query_key_value`, whole(stack('', [layer.query, layer.key, layer.value])))
    named.set(`${prefix}.attention.output`, whole(layer.output))
    named.set(`${prefix}.feed_forward_norm`, layer.feedForwardNorm)
    for (const part of ['gate', 'up', 'down'] as const)
      named.set(`${prefix}.feed_forward.${part}`, whole(layer[part]))
  })
  return named
}

for (const { weights, within } of [
  { weights: 'fp32', within: 0 },
  { weights: 'fp16', within: 0.0005 },
  { weights: 'int8', within: 0.008 },
  { weights: 'q4', within: 0.1 },
] as const) {
  for (const tied of [true, false]) {
    test(`${weights}, ${tied ? 'tied' : 'untied'}: the manifest says where every weight lies, also of padded heads`, async () => {
      const spec = randomDecoder(SHAPE, 24, 5, tied)
      const { graph } = await write(spec, weights)
      const traits = graph.decoder
      expect(traits).toMatchObject({
        feedForwardSize: 44,
        attentionScale: 1 / Math.sqrt(8),
        windows: [0, 0],
        rotaries: ['rotary', 'rotary'],
      })
      const reader = new TensorReader(await readFile(join(folder, graph.externalData)), traits?.tensors ?? [])
      for (const [name, expected] of expectedTensors(spec)) {
        const found = reader.read(`${name}.weight`)
        expect(found.length, name).toBe(expected.length)
        const isNorm = name.endsWith('norm')
        if (within === 0 || isNorm) expect(found, name).toEqual(expected)
        else expect(relativeRmse(found, expected), name).toBeLessThan(within)
      }
      expect(reader.read('rotary.cos').length).toBe(24 * 8)
      expect(reader.has('lm_head.weight')).toBe(!tied)
    })
  }
}

test('matrices that fill no 4-bit blocks are listed as float32, transposed', async () => {
  const { graph } = await write(randomDecoder(SHAPE, 24, 5, true), 'q4')
  const entry = (name: string) => graph.decoder?.tensors.find((tensor) => tensor.name === name)
  expect(entry('layers.0.feed_forward.down.weight')).toMatchObject({ dtype: 'float32', shape: [1, 44, 32] })
  expect(entry('layers.0.feed_forward.up.weight')).toMatchObject({ dtype: 'uint4', shape: [44, 32] })
  expect(entry('layers.0.feed_forward.up.scales')).toMatchObject({ dtype: 'float32', shape: [44, 1] })
})

test('what is wrong with a list of weights is said in a sentence', async () => {
  const manifest = await write(randomDecoder(SHAPE, 24, 5, true), 'int8')
  expect(manifestProblem(manifest)).toBeUndefined()
  const { decoder, ...withoutDecoder } = manifest.graph
  expect(manifestProblem({ ...manifest, graph: withoutDecoder })).toBeUndefined()
  const traits = decoder ?? { tensors: [] }
  const withTraits = (changed: object | string): unknown => ({
    ...manifest,
    graph: {
      ...manifest.graph,
      decoder: typeof changed === 'string' ? changed : { ...traits, ...changed },
    },
  })
  const withEntry = (name: string, changed: object): unknown =>
    withTraits({
      tensors: traits.tensors.map((entry) => (entry.name === name ? { ...entry, ...changed } : entry)),
    })
  const without = (name: string): unknown =>
    withTraits({ tensors: traits.tensors.filter((entry) => entry.name !== name) })
  const up = 'layers.1.feed_forward.up.weight'
  for (const [value, problem] of [
    [withTraits('yes'), 'must be an object'],
    [withTraits({ feedForwardSize: -1 }), 'feedForwardSize'],
    [withTraits({ normEpsilon: NaN }), 'normEpsilon'],
    [withTraits({ attentionScale: '1' }), 'attentionScale'],
    [withTraits({ attentionSoftcap: 0 }), 'attentionSoftcap'],
    [withTraits({ activation: 'relu' }), 'activation'],
    [withTraits({ windows: [0] }), 'windows'],
    [withTraits({ windows: [0, -4] }), 'windows'],
    [withTraits({ rotaries: ['rotary', 'elsewhere'] }), 'rotaries'],
    [withTraits({ rotaries: ['rotary', 'rotary_local'] }), '"rotary_local.cos" is missing'],
    [withTraits({ tensors: {} }), 'must be a list'],
    [withTraits({ tensors: [null] }), 'without a name'],
    [withTraits({ tensors: [...traits.tensors, traits.tensors[0]] }), 'listed twice'],
    [withTraits({ tensors: [...traits.tensors, { ...traits.tensors[0], name: 'spare' }] }), 'none that this'],
    [withEntry(up, { dtype: 'int3' }), 'dtype'],
    [withEntry(up, { dtype: 'toString' }), 'dtype'],
    [withEntry(up, { shape: [1, 1e300, 1e300] }), 'shape'],
    [withEntry(up, { shape: [2 ** 50, 2 ** 50, 2 ** 50] }), 'ends after its file'],
    [withEntry(up, { shape: [] }), 'shape'],
    [withEntry(up, { shape: [44, 31] }), 'must be [44, 32]'],
    [withEntry(up, { dtype: 'uint4', shape: [44, 30] }), 'no whole blocks'],
    [withEntry(up, { file: '../secret' }), 'does not list'],
    [withEntry(up, { offset: -64 }), 'offset'],
    [withEntry(up, { offset: 3 }), 'multiple of 64'],
    [withEntry(up, { offset: 2 ** 52 }), 'ends after its file'],
    [withEntry('final_norm.weight', { dtype: 'float16' }), 'float32 [32]'],
    [
      withEntry('layers.1.feed_forward.up.scales', { shape: [11, 4] }),
      'needs "layers.1.feed_forward.up.scales"',
    ],
    [without('layers.1.feed_forward.up.scales'), 'needs "layers.1.feed_forward.up.scales"'],
    [without(up), `"${up}" is missing`],
    [{ ...manifest, graph: { ...manifest.graph, layers: 2 ** 52 } }, 'windows'],
    [{ ...manifest, graph: { ...manifest.graph, headDim: 15 } }, 'headDim'],
    [{ ...manifest, graph: { ...manifest.graph, kvHeads: 3 } }, 'kvHeads'],
  ] as const) {
    expect(manifestProblem(value)).toContain(problem)
  }
})
