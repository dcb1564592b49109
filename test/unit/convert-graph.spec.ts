import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import type { WeightForm } from '@tabserve/protocol'
import { convertLlama2c, makeRandomModel } from '../../packages/convert/src/index.ts'
import type { RandomShape } from '../../packages/convert/src/index.ts'
import {
  DecoderSession,
  argmax,
  maxDifference,
  relativeRmse,
} from '../../packages/convert/test/decoder-session.ts'
import type { DecoderSpec } from '../../packages/convert/src/graph/decoder-spec.ts'
import { matrixOf } from '../../packages/convert/src/graph/matrix.ts'
import type { Matrix } from '../../packages/convert/src/graph/matrix.ts'
import { fitsQ4, quantizeQ4 } from '../../packages/convert/src/quantization/q4.ts'
import { randomDecoder } from '../../packages/convert/src/random-model.ts'
import { vocabularyTokenizer } from '../../packages/convert/src/tokenizer/model-tokenizer.ts'
import { syntheticVocabulary } from '../../packages/convert/src/tokenizer/synthetic.ts'
import { writeModel } from '../../packages/convert/src/write-model.ts'
import { SHARED_ABSENT, hasShared, shared } from '../../packages/convert/test/shared.ts'

/** What an independent implementation made of stories260K: `greedy_ids` begins with the prompt. */
interface Golden {
  readonly greedy_ids: readonly number[]
  readonly first_logits: readonly number[]
  readonly last_logits: readonly number[]
}

/** Grouped heads of 16, a hidden width that fills no whole 4-bit blocks. */
const SHAPE: RandomShape = { hiddenSize: 64, layers: 2, heads: 4, kvHeads: 2, hiddenDim: 172, vocabSize: 320 }
const PROMPTS = [
  [1, 270, 301, 9, 44],
  [1, 77, 260],
]

let folder = ''
test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convert-graph-'))
})
test.afterEach(() => rm(folder, { recursive: true, force: true }))

async function stories(weights: WeightForm, checkpoint = 'stories260K.bin'): Promise<DecoderSession> {
  const out = join(folder, weights)
  await convertLlama2c({
    checkpoint: shared(`models/llama2c/${checkpoint}`),
    tokenizer: shared('models/llama2c/tok512.bin'),
    out,
    name: 'stories260K',
    version: '1',
    weights,
    force: true,
  })
  return DecoderSession.open(out)
}

async function random(
  weights: WeightForm,
  options: { tied?: boolean; logitsSplit?: number } = {},
): Promise<DecoderSession> {
  const out = join(folder, `random-${weights}`)
  await makeRandomModel({
    shape: SHAPE,
    contextLength: 32,
    out,
    name: 'random',
    version: '1',
    weights,
    force: true,
    ...options,
  })
  return DecoderSession.open(out)
}

async function golden(): Promise<Golden> {
  return JSON.parse(await readFile(shared('models/golden/stories260K.json'), 'utf8')) as Golden
}

/** Logits after each of the tokens, fed one by one. */
async function forced(session: DecoderSession, tokens: readonly number[]): Promise<Float32Array[]> {
  session.reset(1, tokens.length)
  const logits: Float32Array[] = []
  for (const [position, token] of tokens.entries()) logits.push(...(await session.run([[token]], [position])))
  return logits
}

/** The same, all tokens in one run. */
function prefilled(session: DecoderSession, tokens: readonly number[]): Promise<Float32Array[]> {
  session.reset(1, tokens.length)
  return session.run([tokens], [0], [...tokens.keys()])
}

/** Reads the prompt in one run, then two more tokens. */
async function solo(session: DecoderSession, prompt: readonly number[]): Promise<Float32Array[]> {
  session.reset(1, 16)
  const first = await session.run([prompt], [0])
  const second = await session.run([[5]], [prompt.length])
  return [...first, ...second, ...(await session.run([[6]], [prompt.length + 1]))]
}

test('stories260K in fp32 writes exactly the golden story', async () => {
  test.skip(!hasShared(), SHARED_ABSENT)
  const session = await stories('fp32')
  const { greedy_ids, first_logits, last_logits } = await golden()
  session.reset(1, greedy_ids.length)
  const written = [greedy_ids[0] as number]
  const all: Float32Array[] = []
  for (let position = 0; position < greedy_ids.length; position++) {
    const [logits = new Float32Array()] = await session.run([[written[position] as number]], [position])
    all.push(logits)
    written.push(argmax(logits))
  }
  expect(written.slice(0, -1)).toEqual(greedy_ids)
  expect(maxDifference(all[0] ?? [], first_logits)).toBeLessThan(1e-3)
  expect(maxDifference(all.at(-1) ?? [], last_logits)).toBeLessThan(1e-3)
})

test('the published int8 checkpoint, converted, agrees with the golden story on nearly every token', async () => {
  test.skip(!hasShared(), SHARED_ABSENT)
  const { greedy_ids } = await golden()
  const logits = await prefilled(await stories('fp32', 'stories260K-q8.bin'), greedy_ids)
  const agreed = greedy_ids.slice(1).filter((id, position) => argmax(logits[position] ?? []) === id)
  expect(agreed.length).toBeGreaterThan(245)
})

for (const { form, agreeing, within } of [
  { form: 'int8', agreeing: 245, within: 0.05 },
  { form: 'q4', agreeing: 205, within: 0.45 },
] as const) {
  test(`stories260K in ${form} stays near the golden story: logits within ${within} relative RMS`, async () => {
    test.skip(!hasShared(), SHARED_ABSENT)
    const { greedy_ids, first_logits, last_logits } = await golden()
    const logits = await prefilled(await stories(form), greedy_ids)
    const agreed = greedy_ids.slice(1).filter((id, position) => argmax(logits[position] ?? []) === id)
    expect(agreed.length).toBeGreaterThan(agreeing)
    expect(relativeRmse(logits[0] ?? [], first_logits)).toBeLessThan(within)
    expect(relativeRmse(logits.at(-1) ?? [], last_logits)).toBeLessThan(within)
  })
}

for (const form of ['fp32', 'fp16', 'int8', 'q4'] as const) {
  test(`${form}: a prompt in one run equals the same prompt token by token, at every position that logits_index names`, async () => {
    const session = await random(form)
    const prompt = PROMPTS[0] ?? []
    const oneByOne = await forced(session, prompt)
    session.reset(1, prompt.length)
    const atOnce = await session.run([prompt], [0], [4, 0, 2])
    for (const [row, position] of [4, 0, 2].entries()) {
      expect(maxDifference(atOnce[row] ?? [], oneByOne[position] ?? [])).toBeLessThan(2e-5)
    }
    session.reset(1, prompt.length)
    await session.run([prompt.slice(0, 2)], [0])
    const [chunked = new Float32Array()] = await session.run([prompt.slice(2)], [2])
    expect(maxDifference(chunked, oneByOne[4] ?? [])).toBeLessThan(2e-5)
  })

  test(`${form}: two rows of different lengths in one batch equal the same rows alone`, async () => {
    const session = await random(form)
    const [long = [], short = []] = PROMPTS
    const alone = [await solo(session, long), await solo(session, short)]
    session.reset(2, 16)
    const steps = [
      await session.run([long, short], [0, 0]),
      await session.run([[5], [5]], [long.length, short.length]),
      await session.run([[6], [6]], [long.length + 1, short.length + 1]),
    ]
    for (const [step, rows] of steps.entries()) {
      for (const [row, logits] of rows.entries()) {
        expect(maxDifference(logits, alone[row]?.[step] ?? []), `step ${step}, row ${row}`).toBeLessThan(2e-5)
      }
    }
  })
}

test('int8: a row gets the same bits whoever its batch mates are', async () => {
  const session = await random('int8')
  const decode = async (mate: readonly number[]): Promise<Float32Array[]> => {
    session.reset(2, 16)
    const first = await session.run([[1, 270, 301], mate], [0, 0])
    const second = await session.run([[9], [mate[0] ?? 0]], [3, mate.length])
    return [first[0] ?? new Float32Array(), second[0] ?? new Float32Array()]
  }
  expect(await decode([1, 300, 12])).toEqual(await decode([2, 260, 319]))
})

test('int8: the output projection in parts gives the same bits as in one, and its table is still stored once', async () => {
  const whole = await random('int8')
  const expected = await forced(whole, PROMPTS[0] ?? [])
  const bytes = (await readFile(join(folder, 'random-int8/model.onnx.data'))).length
  const split = await random('int8', { logitsSplit: 5 })
  expect(await forced(split, PROMPTS[0] ?? [])).toEqual(expected)
  expect((await readFile(join(folder, 'random-int8/model.onnx.data'))).length - bytes).toBeLessThan(1024)
})

test('an output projection of its own works in every form', async () => {
  const [expected = new Float32Array()] = await forced(await random('fp32', { tied: false }), [1])
  const [tied = new Float32Array()] = await forced(await random('fp32'), [1])
  const [int8 = new Float32Array()] = await forced(await random('int8', { tied: false }), [1])
  const [q4 = new Float32Array()] = await forced(await random('q4', { tied: false }), [1])
  expect(relativeRmse(tied, expected)).toBeGreaterThan(0.5)
  expect(relativeRmse(int8, expected)).toBeLessThan(0.03)
  expect(relativeRmse(q4, expected)).toBeLessThan(0.3)
})

test('q4: the graph computes with exactly the weights that quantisation left, nibble for nibble', async () => {
  const spec = randomDecoder(SHAPE, 32, 3, true)
  const open = async (decoder: DecoderSpec, weights: WeightForm): Promise<DecoderSession> => {
    const out = join(folder, `exact-${weights}`)
    await writeModel(decoder, vocabularyTokenizer(syntheticVocabulary(SHAPE.vocabSize), 32), {
      out,
      name: 'exact',
      version: '1',
      weights,
    })
    return DecoderSession.open(out)
  }
  const quantized = await prefilled(await open(spec, 'q4'), PROMPTS[0] ?? [])
  const restored = await prefilled(await open(withQ4Weights(spec), 'fp32'), PROMPTS[0] ?? [])
  for (const [row, logits] of quantized.entries()) {
    expect(maxDifference(logits, restored[row] ?? [])).toBeLessThan(2e-5)
  }
})

/** The decoder whose fp32 weights are what 4 bits can say of them. */
function withQ4Weights(spec: DecoderSpec): DecoderSpec {
  const restore = (matrix: Matrix): Matrix => {
    if (!fitsQ4(matrix)) return matrix
    const { name, rows, columns } = matrix
    const data = matrix.read(0, rows)
    const { values, scales } = quantizeQ4(data)
    const restored = data.map((_, i) => {
      const byte = values[i >> 1] as number
      return ((i % 2 === 0 ? byte & 15 : byte >> 4) - 8) * (scales[Math.trunc(i / 32)] as number)
    })
    return matrixOf(name, rows, columns, restored)
  }
  const layers = spec.layers.map((layer) => ({
    ...layer,
    query: restore(layer.query),
    key: restore(layer.key),
    value: restore(layer.value),
    output: restore(layer.output),
    gate: restore(layer.gate),
    up: restore(layer.up),
    down: restore(layer.down),
  }))
  return { ...spec, embedding: restore(spec.embedding), layers }
}
