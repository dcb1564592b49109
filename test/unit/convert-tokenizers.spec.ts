import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { byteLevelJson } from '../../packages/convert/src/tokenizer/byte-level.ts'
import { SHARED_ABSENT, hasShared, shared } from '../../packages/convert/test/shared.ts'
import { TextStream } from '../../packages/engine/src/text-stream.ts'

/** The little of @huggingface/tokenizers that these tests use. */
interface HuggingFaceTokenizer {
  encode(text: string, options: { add_special_tokens: boolean }): { ids: number[] }
  decode(ids: number[], options: object): string
}

const { Tokenizer } = createRequire(join(import.meta.dirname, '../../packages/convert/package.json'))(
  '@huggingface/tokenizers',
) as { Tokenizer: new (json: unknown, config: unknown) => HuggingFaceTokenizer }

const published = (name: string) => (): unknown => readJson(`tokenizers/${name}/tokenizer.json`)

/** Built by us as for a GGUF file, of the vocabulary and merges that the makers published. */
const built = (vocabulary: string, merges: string, preTokenizer: string) => (): unknown => {
  const ids = readJson(`tokenizers/${vocabulary}`) as Readonly<Record<string, number>>
  const tokens = Object.keys(ids)
    .sort((a, b) => ids[a]! - ids[b]!)
    .map((text) => ({ text, kind: 'text' as const }))
  const lines = readFileSync(shared(`tokenizers/${merges}`), 'utf8').split('\n')
  const pairs = lines.filter((line) => /^\S+ \S+$/.test(line) && !line.startsWith('#version'))
  return byteLevelJson({ tokens, merges: pairs, preTokenizer, bosId: undefined, addBos: false })
}

/** UTF-8 has no lone surrogates: they are replaced. */
const wellFormed = (text: string): string => Buffer.from(text).toString()
const normalized = (text: string): string => wellFormed(text).normalize('NFC')

/** `expected: undefined`: the tokenizer drops what it has no piece for, so only the words that it once gave have to come back. */
const TOKENIZERS = [
  { name: 'gpt2', json: published('gpt2'), expected: wellFormed },
  { name: 'llama2', json: published('llama2'), expected: wellFormed },
  { name: 'phi-3-mini', json: published('phi-3-mini'), expected: wellFormed },
  {
    name: 'llama3.2',
    json: built('llama3.2/encoder.json', 'llama3.2/vocab.bpe', 'llama-bpe'),
    expected: wellFormed,
  },
  {
    name: 'qwen2.5',
    json: built('qwen2.5/vocab.json', 'qwen2.5/merges.txt', 'qwen2'),
    expected: normalized,
  },
  { name: 't5-small', json: published('t5-small'), expected: undefined },
  { name: 'bert-minilm', json: published('bert-minilm'), expected: undefined },
  { name: 'minilm-xenova', json: published('minilm-xenova'), expected: undefined },
]

const AWKWARD = [
  'emoji 🙂👩‍👩‍👧 🏳️‍🌈 and \u{10ffff}',
  '日本語、한국어 and 中文字符。',
  'combining: e\u0301 o\u0308\u0323 a\u030a\u0301, नमस्ते, ก็',
  'lone \ud83d high and \udc00 low surrogates',
  '  two  spaces   and tabs\t\tand\n\n\nlines \r\n end ',
  "I'LL don't we've 1234567890 x=3.14; f(a,b) -> {c}",
]

for (const { name, json, expected } of TOKENIZERS) {
  test(`${name}: corpora, emoji, CJK, combining marks and lone surrogates come back, streamed as at once`, () => {
    test.skip(!hasShared(), SHARED_ABSENT)
    const tokenizer = new Tokenizer(json(), {})
    const encode = (text: string): number[] => tokenizer.encode(text, { add_special_tokens: false }).ids
    const decode = (ids: readonly number[]): string =>
      ids.length === 0
        ? ''
        : tokenizer.decode([...ids], { skip_special_tokens: true, clean_up_tokenization_spaces: false })
    // `expect` costs a millisecond a call in this runner: failures are collected and expected to be none.
    const failures: { text: string; decoded: string; streamed: string }[] = []
    for (const text of [...excerpts(), ...AWKWARD]) {
      const ids = encode(text)
      const decoded = decode(ids)
      const streamed = streamedText(ids, decode)
      const same =
        expected === undefined
          ? words(decode(encode(decoded))) === words(decoded)
          : decoded === expected(text)
      if (!same || streamed !== decoded) failures.push({ text, decoded, streamed })
    }
    expect(failures).toEqual([])
  })
}

function words(text: string): string {
  return text.split(/\s+/).join(' ').trim()
}

function streamedText(ids: readonly number[], decode: (ids: readonly number[]) => string): string {
  const stream = new TextStream(decode, [])
  return ids.map((id) => stream.push(id)).join('') + stream.flush()
}

/** 600 characters from ten places of each corpus, without its separators, which are special tokens to some. */
function excerpts(): string[] {
  return ['grimms-fairy-tales.txt', 'tinyshakespeare.txt', 'tinystories-valid.txt'].flatMap((file) => {
    const text = readFileSync(shared(`corpora/${file}`), 'utf8').replaceAll('<|endoftext|>', '')
    return Array.from({ length: 10 }, (_, place) => {
      const begin = Math.trunc((text.length * place) / 10)
      return text.slice(begin, begin + 600)
    })
  })
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(shared(path), 'utf8'))
}
