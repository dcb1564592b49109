import { expect, test } from 'playwright/test'
import { classify } from '../../packages/runtime/src/handlers/text/classify.ts'
import { embed } from '../../packages/runtime/src/handlers/text/embed.ts'
import { rerank } from '../../packages/runtime/src/handlers/text/rerank.ts'
import { tokenClassify } from '../../packages/runtime/src/handlers/text/token-classify.ts'
import { zeroShot } from '../../packages/runtime/src/handlers/text/zero-shot.ts'
import type { EncoderShape } from '../tasks/encoder-spec.ts'
import { randomEncoder } from '../tasks/encoder-spec.ts'
import { exportEncoder } from '../tasks/export-encoder.ts'
import { NodeModel } from '../tasks/node-model.ts'
import { referenceEncoder } from '../tasks/reference-encoder.ts'
import { wordTokenizer } from '../tasks/word-tokenizer.ts'

const WORDS = [
  'the',
  'cat',
  'sat',
  'on',
  'a',
  'mat',
  'paris',
  'is',
  'far',
  '##ther',
  'example',
  'this',
  '.',
  'about',
  'food',
  'travel',
]
const SHAPE: EncoderShape = {
  vocabSize: 20,
  hiddenSize: 32,
  layers: 2,
  heads: 4,
  feedForwardSize: 48,
  maxPositions: 16,
}
const CLS = 2
const SEP = 3
const id = (word: string) => WORDS.indexOf(word) + 4
const encoded = (...words: string[]) => [CLS, ...words.map(id), SEP]

function open(
  shape: Partial<EncoderShape>,
  labels: readonly string[] = [],
  options: object = {},
  files: Record<string, string> = {},
) {
  const spec = randomEncoder({ ...SHAPE, ...shape }, 7)
  const { json, config } = wordTokenizer(WORDS)
  const id2label = Object.fromEntries(labels.map((label, index) => [index, label]))
  const all = {
    'tokenizer.json': json,
    'tokenizer_config.json': config,
    'config.json': JSON.stringify({ id2label, pad_token_id: 0, max_position_embeddings: 16 }),
    ...files,
  }
  return NodeModel.open({ main: exportEncoder(spec) }, all, { ...options }).then((node) => ({ node, spec }))
}

const unit = (vector: readonly number[]) => vector.map((value) => value / Math.hypot(...vector))
const mean = (rows: readonly (readonly number[])[]) =>
  (rows[0] ?? []).map((_, at) => rows.reduce((sum, row) => sum + (row[at] ?? 0), 0) / rows.length)
const softmax = (values: readonly number[]) => {
  const weights = values.map(Math.exp)
  return weights.map((weight) => weight / weights.reduce((a, b) => a + b, 0))
}

function expectClose(found: ArrayLike<number>, wanted: readonly number[]): void {
  expect(found).toHaveLength(wanted.length)
  for (const [at, value] of wanted.entries()) expect(found[at]).toBeCloseTo(value, 4)
}

test('an embedding is the mean of what a float64 reference gives each token, at length 1; or the first token’s, or not normalised', async () => {
  const { node, spec } = await open({})
  const handler = await embed(node.model)
  const hidden = referenceEncoder(spec, encoded('the', 'cat', 'sat'))
  const { embedding, numTokens } = await node.ask(handler, 'The cat sat')
  expect(numTokens).toBe(5)
  expectClose(embedding, unit(mean(hidden)))
  expectClose(
    (await node.ask(handler, 'the cat sat', { pooling: 'cls' })).embedding,
    unit([...(hidden[0] ?? [])]),
  )
  expectClose((await node.ask(handler, 'the cat sat', { normalize: false })).embedding, mean(hidden))
  expectClose((await node.ask(handler, encoded('the', 'cat', 'sat'))).embedding, unit(mean(hidden)))
})

test('fewer dimensions are the first ones, normalised anew', async () => {
  const { node, spec } = await open({})
  const handler = await embed(node.model)
  const hidden = referenceEncoder(spec, encoded('the', 'cat'))
  expectClose(
    (await node.ask(handler, 'the cat', { dimensions: 8 })).embedding,
    unit(mean(hidden).slice(0, 8)),
  )
  await expect(node.ask(handler, 'the cat', { dimensions: 33 })).rejects.toMatchObject({
    code: 'bad_request',
    param: 'dimensions',
  })
})

test('sentence-transformers’ own pooling counts, and the manifest’s options before it', async () => {
  const pooling = { '1_Pooling/config.json': JSON.stringify({ pooling_mode_cls_token: true }) }
  const byFile = await open({}, [], {}, pooling)
  const first = referenceEncoder(byFile.spec, encoded('a', 'mat'))[0] ?? []
  expectClose((await byFile.node.ask(await embed(byFile.node.model), 'a mat')).embedding, unit([...first]))
  const byOption = await open({}, [], { pooling: 'mean' }, pooling)
  const all = referenceEncoder(byOption.spec, encoded('a', 'mat'))
  expectClose((await byOption.node.ask(await embed(byOption.node.model), 'a mat')).embedding, unit(mean(all)))
})

test('a text longer than the model reads is cut, and keeps its last token', async () => {
  const { node, spec } = await open({})
  const handler = await embed(node.model)
  const { embedding, numTokens } = await node.ask(handler, Array(40).fill('cat').join(' '))
  expect(numTokens).toBe(16)
  expectClose(embedding, unit(mean(referenceEncoder(spec, encoded(...Array<string>(14).fill('cat'))))))
})

test('a wrong input or an unknown parameter is refused with a word about it', async () => {
  const { node } = await open({})
  const handler = await embed(node.model)
  await expect(node.ask(handler, '')).rejects.toMatchObject({ code: 'bad_request', param: 'input' })
  await expect(node.ask(handler, 5 as unknown as string)).rejects.toMatchObject({ code: 'bad_request' })
  await expect(node.ask(handler, 'cat', { dimension: 4 })).rejects.toThrow(
    /no parameter dimension; it has dimensions, normalize, pooling/,
  )
})

test('a text or a pair is classified by the model’s labels, best first', async () => {
  const { node, spec } = await open({ head: { of: 'first', labels: 3 } }, ['bad', 'middling', 'good'])
  const handler = await classify(node.model)
  const scores = softmax([...(referenceEncoder(spec, encoded('paris', 'is', 'far'))[0] ?? [])])
  const all = await node.ask(handler, 'Paris is far', { topK: 'all' })
  expect(all.map(({ score }) => score)).toEqual(all.map(({ score }) => score).toSorted((a, b) => b - a))
  for (const [at, label] of ['bad', 'middling', 'good'].entries())
    expect(all.find((each) => each.label === label)?.score).toBeCloseTo(scores[at] ?? 0, 4)
  const pair = [...encoded('paris'), id('far'), SEP]
  const [best] = softmax([...(referenceEncoder(spec, pair, [0, 0, 0, 1, 1])[0] ?? [])]).toSorted(
    (a, b) => b - a,
  )
  const [found] = await node.ask(handler, { text: 'paris', pair: 'far' })
  expect(found?.score).toBeCloseTo(best ?? 0, 4)
})

test('zero-shot: each label is a hypothesis, and all are one pass', async () => {
  const { node, spec } = await open({ head: { of: 'first', labels: 3 } }, [
    'contradiction',
    'neutral',
    'entailment',
  ])
  const handler = await zeroShot(node.model)
  const logits = ['food', 'travel'].map((label) => {
    const hypothesis = ['this', 'is', label, '.']
    const ids = [...encoded('paris', 'is', 'far'), ...hypothesis.map(id), SEP]
    return referenceEncoder(spec, ids, [...Array<number>(5).fill(0), ...Array<number>(5).fill(1)])[0] ?? []
  })
  const wanted = softmax(logits.map((row) => row[2] ?? 0))
  const input = { text: 'Paris is far', labels: ['food', 'travel'] }
  const found = await node.ask(handler, input, { hypothesisTemplate: 'This is {}.' })
  for (const [at, label] of input.labels.entries())
    expect(found.find((each) => each.label === label)?.score).toBeCloseTo(wanted[at] ?? 0, 4)
  expect(node.passes).toHaveLength(1)
  const alone = await node.ask(handler, input, { hypothesisTemplate: 'This is {}.', multiLabel: true })
  const [against = 0, , forIt = 0] = logits[0] ?? []
  expect(alone.find(({ label }) => label === 'food')?.score).toBeCloseTo(softmax([against, forIt])[1] ?? 0, 4)
})

test('reranking sorts documents by the logit of their pair with the query', async () => {
  const { node, spec } = await open({ head: { of: 'first', labels: 1 } })
  const handler = await rerank(node.model)
  const documents = ['the cat', 'a mat on the mat', 'far']
  const logits = documents.map((text) => {
    const ids = [...encoded('cat'), ...text.split(' ').map(id), SEP]
    return (
      referenceEncoder(
        spec,
        ids,
        ids.map((_, at) => (at < 3 ? 0 : 1)),
      )[0]?.[0] ?? 0
    )
  })
  const found = await node.ask(handler, { query: 'cat', documents }, { activation: 'none' })
  expect(found.map(({ index }) => index)).toEqual(
    [0, 1, 2].toSorted((a, b) => (logits[b] ?? 0) - (logits[a] ?? 0)),
  )
  for (const { index, score } of found) expect(score).toBeCloseTo(logits[index] ?? 0, 3)
  expect(await node.ask(handler, { query: 'cat', documents }, { topN: 1 })).toHaveLength(1)
})

test('token classification: every token has its label, and entities are found in the text', async () => {
  const { node, spec } = await open({ head: { of: 'every', labels: 3 } }, ['O', 'B-PLACE', 'I-PLACE'])
  const handler = await tokenClassify(node.model)
  const rows = referenceEncoder(spec, encoded('paris', 'is', 'far', '##ther')).slice(1, -1)
  const wanted = rows.flatMap((row, at) => {
    const best = row.indexOf(Math.max(...row))
    return best === 0
      ? []
      : [
          {
            label: ['O', 'B-PLACE', 'I-PLACE'][best],
            score: softmax([...row])[best],
            word: ['paris', 'is', 'far', '##ther'][at],
          },
        ]
  })
  const found = await node.ask(handler, 'Paris is farther', { aggregation: 'none' })
  expect(found.map(({ label }) => label)).toEqual(wanted.map(({ label }) => label))
  for (const [at, { score }] of found.entries()) expect(score).toBeCloseTo(wanted[at]?.score ?? 0, 4)
  for (const aggregation of ['simple', 'first', 'average', 'max'])
    for (const { start, end, word } of await node.ask(handler, 'Paris is farther', { aggregation }))
      if (start !== undefined) expect('Paris is farther'.slice(start, end).toLowerCase()).toBe(word)
})
