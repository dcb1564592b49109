import { existsSync, readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { Random } from '../../packages/engine/src/random.ts'
import { TextStream } from '../../packages/engine/src/text-stream.ts'

/** A token is a byte. */
const decodeBytes = (tokens: readonly number[]) =>
  new TextDecoder('utf-8', { ignoreBOM: true }).decode(Uint8Array.from(tokens))
const bytesOf = (text: string) => [...new TextEncoder().encode(text)]

function stream(tokens: readonly number[], stop: readonly string[] = [], decode = decodeBytes) {
  const text = new TextStream(decode, stop)
  const pieces = tokens.map((token) => text.push(token))
  return { pieces, text: pieces.join('') + text.flush(), stopped: text.stopped }
}

test('a character that comes in several tokens is shown whole, with its last token', () => {
  expect(stream(bytesOf('a🙂é')).pieces).toEqual(['a', '', '', '', '🙂', '', 'é'])
})

test('a stop string never leaks, a false start of one does as soon as it is false', () => {
  expect(stream(bytesOf('one END two'), ['END'])).toMatchObject({ text: 'one ', stopped: 'END' })
  expect(stream(bytesOf('xENx'), ['END']).pieces).toEqual(['x', '', '', 'ENx'])
})

test('a beginning of a stop string is shown when nothing follows', () => {
  expect(stream(bytesOf('the EN'), ['END'])).toMatchObject({ text: 'the EN', stopped: undefined })
})

test('nothing is shown after a stop string', () => {
  const text = new TextStream(decodeBytes, ['.'])
  for (const token of bytesOf('Hi.')) text.push(token)
  expect([text.push(65), text.flush(), text.stopped]).toEqual(['', '', '.'])
})

test('of two stop strings, one the beginning of the other, the shorter ends the text', () => {
  for (const stop of [
    ['ab', 'abc'],
    ['abc', 'ab'],
  ]) {
    expect(stream(bytesOf('xxabc'), stop)).toMatchObject({ text: 'xx', stopped: 'ab' })
  }
})

test('a byte that is no character does not hold the text for ever', () => {
  const { pieces } = stream([0xff, 0x41, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff])
  expect(pieces.slice(0, 2).join('')).toBe('\uFFFDA')
  expect(pieces.join('')).toContain('\uFFFDA\uFFFD')
})

test('a U+FFFD that the model wrote is shown', () => {
  expect(stream(bytesOf('a\uFFFDb')).text).toBe('a\uFFFDb')
})

/** Like SentencePiece: the space in front of the first piece is dropped; token 0 is special and has no text. */
const pieces = ['', ' Hello', ' world', '!', ' ']
const decodePieces = (tokens: readonly number[]) =>
  tokens
    .map((token) => pieces[token])
    .join('')
    .replace(/^ /, '')

test('the space in front of a piece is kept, except at the very beginning', () => {
  expect(stream([1, 2, 3, 1], [], decodePieces).text).toBe('Hello world! Hello')
  const answer = new TextStream(decodePieces, [], [1, 2])
  expect(answer.push(1)).toBe(' Hello')
})

test('each push decodes a short window, however long the text is', () => {
  let longest = 0
  const text = new TextStream(
    (tokens) => ((longest = Math.max(longest, tokens.length)), decodeBytes(tokens)),
    [],
  )
  for (let index = 0; index < 2000; index++) text.push(index % 3 === 0 ? 0xff : 65 + (index % 26))
  expect(longest).toBeLessThanOrEqual(32)
})

test('any text in any cut gives the whole decode, cut before the first stop string', () => {
  const random = new Random(7)
  const pick = <T>(list: readonly T[]) => list[Math.floor(random.next() * list.length)]!
  const alphabet = ['a', 'b', 'c', 'é', '世', '🙂']
  // `expect` costs a millisecond a call in this runner: failures are collected and expected to be none.
  const failures: string[] = []
  for (let round = 0; round < 3000; round++) {
    const whole = Array.from({ length: 1 + Math.floor(random.next() * 25) }, () => pick(alphabet)).join('')
    // One or two stops over one length: they cannot be complete at different ends of an overlap.
    const length = 1 + Math.floor(random.next() * 3)
    const stop = [0, 1].map(() => Array.from({ length }, () => pick(['a', 'b', 'c'])).join(''))
    const first = Math.min(...stop.map((text) => (whole.includes(text) ? whole.indexOf(text) : whole.length)))
    const expected = whole.slice(0, first)
    const vocabulary: number[][] = []
    for (let bytes = bytesOf(whole); bytes.length > 0;) vocabulary.push(bytes.splice(0, pick([1, 1, 2])))
    const decode = (tokens: readonly number[]) =>
      decodeBytes(tokens.flatMap((token) => vocabulary[token] ?? []))
    const text = new TextStream(decode, stop)
    let shown = ''
    for (let token = 0; token < vocabulary.length; token++) {
      shown += text.push(token)
      if (!expected.startsWith(shown))
        failures.push(`${whole} until ${stop.join(' or ')}: ${shown} was shown`)
    }
    const all = shown + text.flush()
    if (all !== expected) failures.push(`${whole} until ${stop.join(' or ')}: ${all}, not ${expected}`)
  }
  expect(failures).toEqual([])
})

const GPT2 = join(import.meta.dirname, '../../../shared/tokenizers/gpt2/tokenizer.json')

test('a real tokenizer: emoji and CJK come back as they went in', () => {
  test.skip(!existsSync(GPT2), `${GPT2} is not here`)
  const require = createRequire(new URL('../../packages/runtime/package.json', import.meta.url))
  const { Tokenizer } =
    require('@huggingface/tokenizers') as typeof import('../../packages/runtime/node_modules/@huggingface/tokenizers')
  const tokenizer = new Tokenizer(JSON.parse(readFileSync(GPT2, 'utf8')), {})
  const original = 'Hi 👩‍👩‍👧 世界你好，こんにちは 🙂🙃 naïve 한국어.'
  const { ids } = tokenizer.encode(original)
  const decode = (tokens: readonly number[]) =>
    tokens.length === 0 ? '' : tokenizer.decode([...tokens], { clean_up_tokenization_spaces: false })
  expect(stream(ids, [], decode).text).toBe(original)
})
