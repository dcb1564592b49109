import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import type { WeightForm } from '@tabserve/protocol'
import { assembleDecoder } from '../../packages/convert/src/architectures/assemble.ts'
import { limitContext } from '../../packages/convert/src/architectures/limit-context.ts'
import type { DecoderSpec } from '../../packages/convert/src/graph/decoder-spec.ts'
import { readConfig } from '../../packages/convert/src/huggingface/config.ts'
import { huggingFaceStorage } from '../../packages/convert/src/huggingface/storage.ts'
import { vocabularyTokenizer } from '../../packages/convert/src/tokenizer/model-tokenizer.ts'
import { syntheticVocabulary } from '../../packages/convert/src/tokenizer/synthetic.ts'
import { writeModel } from '../../packages/convert/src/write-model.ts'
import { TINY_CONFIGS, tinyModel } from '../../packages/convert/test/architecture-fixture.ts'
import type { TinyModel, TinyName } from '../../packages/convert/test/architecture-fixture.ts'
import { DecoderSession, maxDifference, relativeRmse } from '../../packages/convert/test/decoder-session.ts'
import { HuggingFaceReference } from '../reference/huggingface.ts'
import { ReferenceDecoder } from '../reference/decoder.ts'
import { decoderFromManifest } from '../reference/from-manifest.ts'

const TOKENS = [1, 270, 44, 9, 101, 287, 33, 12, 200, 5]
/** Read in one run; the others follow one by one. */
const PROMPT = 6

let folder = ''
test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convert-architectures-'))
})
test.afterEach(() => rm(folder, { recursive: true, force: true }))

function specOf({ config, tensors }: TinyModel): DecoderSpec {
  const stored = [...tensors].map(([name, { shape, data }]) => {
    const width = shape.slice(1).reduce((a, b) => a * b, 1)
    const read = (begin: number, end: number): Float32Array => data.subarray(begin * width, end * width)
    return [name, { name, shape, type: 'F32', read }] as const
  })
  const { architecture, config: numbers } = readConfig(config)
  return assembleDecoder(
    architecture,
    limitContext(numbers, undefined),
    new Map(stored),
    huggingFaceStorage(architecture),
  )
}

async function open(spec: DecoderSpec, weights: WeightForm): Promise<DecoderSession> {
  const tokenizer = vocabularyTokenizer(syntheticVocabulary(spec.vocabSize), spec.contextLength)
  const out = join(folder, weights)
  await writeModel(spec, tokenizer, { out, name: 'tiny', version: '1', weights, force: true })
  return DecoderSession.open(out)
}

/** Logits after every token: a prompt in one run, then one token at a time over the cache. */
async function decoded(session: DecoderSession): Promise<Float32Array[]> {
  session.reset(1, TOKENS.length)
  const logits = await session.run([TOKENS.slice(0, PROMPT)], [0], [...Array(PROMPT).keys()])
  for (let position = PROMPT; position < TOKENS.length; position++)
    logits.push(...(await session.run([[TOKENS[position]!]], [position])))
  return logits
}

for (const name of Object.keys(TINY_CONFIGS) as TinyName[]) {
  test(`${name}: the graph computes what the float64 reference does, prompt and cache, in fp32`, async () => {
    const spec = specOf(tinyModel(name))
    const reference = new ReferenceDecoder(spec)
    const expected = TOKENS.map((token) => reference.next(token))
    const session = await open(spec, 'fp32')
    const logits = await decoded(session)
    logits.forEach((row, position) => {
      expect(maxDifference(row, expected[position]!), `position ${position}`).toBeLessThan(2e-4)
    })
    await session.dispose()
  })

  test(`${name}: the reference is what the configuration and the weights by their published names define`, () => {
    const model = tinyModel(name)
    const reference = new ReferenceDecoder(specOf(model))
    const published = new HuggingFaceReference(model)
    for (const token of TOKENS) {
      const logits = reference.next(token)
      expect(maxDifference(logits, published.next(token))).toBeLessThan(1e-9)
    }
  })

  // Weights are exact in all of them, but int8 graphs round activations to 8 bits too.
  for (const { weights, far, within } of [
    { weights: 'fp16', far: maxDifference, within: 2e-4 },
    { weights: 'int8', far: relativeRmse, within: 0.1 },
    { weights: 'q4', far: maxDifference, within: 2e-4 },
  ] as const) {
    test(`${name}: ${weights} computes what the manifest and its weights say, in one run and token by token`, async () => {
      const spec = specOf(tinyModel(name))
      const session = await open(spec, weights)
      const data = await readFile(join(folder, weights, session.graph.externalData))
      const reference = new ReferenceDecoder(decoderFromManifest(session.graph, data, spec.rotaries))
      const expected = TOKENS.map((token) => reference.next(token))
      const logits = await decoded(session)
      session.reset(1, TOKENS.length)
      for (const [position, token] of TOKENS.entries()) {
        const [alone] = await session.run([[token]], [position])
        expect(far(alone!, expected[position]!), `position ${position}`).toBeLessThan(within)
        expect(far(logits[position]!, expected[position]!), `${position} at once`).toBeLessThan(within)
      }
      await session.dispose()
    })
  }
}
