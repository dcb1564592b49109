import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import type { Vocabulary } from '../../packages/convert/src/tokenizer/pieces.ts'
import { readTokenizer } from '../../packages/convert/src/tokenizer/read-tokenizer.ts'
import { syntheticVocabulary } from '../../packages/convert/src/tokenizer/synthetic.ts'
import { tokenizerFiles } from '../../packages/convert/src/tokenizer/tokenizer-files.ts'
import { llama2cEncode } from '../../packages/convert/test/llama2c-encode.ts'
import { SHARED_ABSENT, hasShared, shared } from '../../packages/convert/test/shared.ts'

/** The little of @huggingface/tokenizers that these tests use. */
interface HuggingFaceTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] }
  decode(ids: number[], options: { skip_special_tokens: boolean }): string
}

const AWKWARD = [
  ' ',
  'a',
  ' leading space',
  '  two  spaces   and more    ',
  'lines\nand\n\ntabs\tand\r\nreturns',
  'café naïve Ünïcödé – “quotes” …',
  '日本語 and 한국어',
  'emoji 🙂👩‍👩‍👧 and \u{10ffff}',
  'the the the thethethe',
  '\u2581 is not a space',
  'NUL \0 and DEL \x7f',
]

async function vocabularyOf(file: string): Promise<Vocabulary> {
  return readTokenizer(await readFile(shared(`models/llama2c/${file}`)))
}

function huggingFace(vocabulary: Vocabulary): HuggingFaceTokenizer {
  const { Tokenizer } = createRequire(join(import.meta.dirname, '../../packages/runtime/package.json'))(
    '@huggingface/tokenizers',
  ) as { Tokenizer: new (json: unknown, config: unknown) => HuggingFaceTokenizer }
  const files = tokenizerFiles(vocabulary, { contextLength: 512 })
  return new Tokenizer(JSON.parse(files.tokenizerJson), JSON.parse(files.configJson))
}

function encode(tokenizer: HuggingFaceTokenizer, text: string): number[] {
  return tokenizer.encode(text, { add_special_tokens: false }).ids
}

test('tokenizer.bin and the SentencePiece model it was exported from give the same files', async () => {
  test.skip(!hasShared(), SHARED_ABSENT)
  for (const [bin, model] of [
    ['tok512.bin', 'tok512.model'],
    ['babyllama-tok105.tok.bin', 'babyllama-tok105.model'],
  ] as const) {
    const options = { contextLength: 512, chatTemplate: '{{ messages }}' }
    expect(tokenizerFiles(await vocabularyOf(bin), options)).toEqual(
      tokenizerFiles(await vocabularyOf(model), options),
    )
  }
})

test('stories and awkward text are encoded as llama2.c encodes them, and decode to themselves', async () => {
  test.skip(!hasShared(), SHARED_ABSENT)
  const vocabulary = await vocabularyOf('tok512.bin')
  const tokenizer = huggingFace(vocabulary)
  const stories = (await readFile(shared('corpora/tinystories-valid.txt'), 'utf8'))
    .split('<|endoftext|>')
    .slice(0, 200)
    .map((story, index) => (index < 3 ? story : story.slice(0, 300)))
  expect(stories.length).toBe(200)
  for (const text of [...stories, ...AWKWARD.filter((awkward) => !awkward.includes('\u2581'))]) {
    const ids = encode(tokenizer, text)
    expect(ids, text).toEqual(llama2cEncode(vocabulary, text))
    expect(tokenizer.decode(ids, { skip_special_tokens: true }), text).toBe(text)
  }
})

test('the golden story decodes to its text', async () => {
  test.skip(!hasShared(), SHARED_ABSENT)
  const tokenizer = huggingFace(await vocabularyOf('tok512.model'))
  const golden = JSON.parse(await readFile(shared('models/golden/stories260K.json'), 'utf8')) as {
    greedy_ids: number[]
    text: string
  }
  expect(tokenizer.decode(golden.greedy_ids, { skip_special_tokens: true })).toBe(golden.text)
})

test('a character-level vocabulary without bytes encodes letter by letter, and what it lacks as <unk>', async () => {
  test.skip(!hasShared(), SHARED_ABSENT)
  const vocabulary = await vocabularyOf('babyllama-tok105.tok.bin')
  const tokenizer = huggingFace(vocabulary)
  const text = 'Once upon a time, there was a "café".'
  expect(encode(tokenizer, text)).toEqual(llama2cEncode(vocabulary, text))
  expect(encode(tokenizer, text).length).toBe(text.length + 1)
  expect(encode(tokenizer, '🙂')).toEqual([3, vocabulary.unknownId])
})

test("Llama 2's SentencePiece model gives the tokenizer.json that Hugging Face publishes", async () => {
  test.skip(!hasShared(), SHARED_ABSENT)
  const made = JSON.parse(
    tokenizerFiles(await vocabularyOf('tokenizer.model'), { contextLength: 4096 }).tokenizerJson,
  )
  const text = await readFile(shared('tokenizers/llama2/tokenizer.json'), 'utf8')
  const published = JSON.parse(text)
  for (const part of ['added_tokens', 'normalizer', 'post_processor', 'decoder'])
    expect(made[part]).toEqual(published[part])
  // The stored copy has lost its no-break spaces.
  const plain = (merge: string): string => merge.replaceAll('\u00a0', ' ')
  expect(made.model.merges.map(plain)).toEqual(published.model.merges)
  expect({ ...made.model, vocab: 0, merges: 0 }).toEqual({ ...published.model, vocab: 0, merges: 0 })
})

test('the vocabulary of a random model encodes any text, and merges letters to words', () => {
  for (const size of [260, 512, 5000]) {
    const vocabulary = syntheticVocabulary(size)
    expect(new Set(vocabulary.pieces.map((piece) => piece.text)).size).toBe(size)
    const tokenizer = huggingFace(vocabulary)
    for (const text of AWKWARD.filter((awkward) => !awkward.includes('\u2581'))) {
      expect(tokenizer.decode(encode(tokenizer, text), { skip_special_tokens: true })).toBe(text)
    }
  }
  const tokenizer = huggingFace(syntheticVocabulary(5000))
  expect(encode(tokenizer, '')).toEqual([])
  expect(encode(tokenizer, 'tea to eat').length).toBeLessThan(8)
})

test('a file that is no tokenizer is refused with one line', () => {
  const truncated = new Uint8Array(40)
  new DataView(truncated.buffer).setInt32(0, 7, true)
  new DataView(truncated.buffer).setInt32(8, 5000, true)
  expect(() => readTokenizer(truncated)).toThrow('not a llama2.c tokenizer.bin')
  expect(() => readTokenizer(new TextEncoder().encode('{"version": "1.0", "model": {}}'))).toThrow(
    'SentencePiece',
  )
  expect(() => readTokenizer(new Uint8Array(0))).toThrow('SentencePiece')
})
