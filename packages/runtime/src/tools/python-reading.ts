import { parsed } from './json-reading.ts'
import type { Reading, TextSource } from './text-source.ts'

/** A Python literal as JSON: strings, numbers, `True`, `None`, lists, tuples and dicts. `undefined` where none stands there. */
export function* readPython(source: TextSource): Reading<string | undefined> {
  const next = yield* source.peek()
  if (next === '"' || next === "'") return yield* readString(source, next)
  if (next === '[') return yield* readList(source, ']')
  if (next === '(') return yield* readList(source, ')')
  if (next === '{') return yield* readDict(source)
  return scalar(yield* source.run(/[\w.+-]/))
}

function* readList(source: TextSource, end: string): Reading<string | undefined> {
  const items: string[] = []
  source.at++
  for (;;) {
    yield* source.space()
    if (yield* source.skips(end)) return `[${items.join(', ')}]`
    const item = yield* readPython(source)
    if (item === undefined) return undefined
    items.push(item)
    yield* source.space()
    if (!(yield* source.skips(',')) && !(yield* source.sees(end))) return undefined
  }
}

function* readDict(source: TextSource): Reading<string | undefined> {
  const members: string[] = []
  source.at++
  for (;;) {
    yield* source.space()
    if (yield* source.skips('}')) return `{${members.join(', ')}}`
    const key = yield* readPython(source)
    if (key === undefined || !key.startsWith('"')) return undefined
    yield* source.space()
    if (!(yield* source.skips(':'))) return undefined
    yield* source.space()
    const value = yield* readPython(source)
    if (value === undefined) return undefined
    members.push(`${key}: ${value}`)
    yield* source.space()
    if (!(yield* source.skips(',')) && !(yield* source.sees('}'))) return undefined
  }
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r', b: '\b', f: '\f', '\n': '' }
const CODE_DIGITS: Readonly<Record<string, number>> = { x: 2, u: 4, U: 8 }

function* readString(source: TextSource, quote: string): Reading<string | undefined> {
  let text = ''
  source.at++
  for (;;) {
    const next = yield* source.peek()
    if (next === '') return undefined
    source.at++
    if (next === quote) return JSON.stringify(text)
    text += next === '\\' ? yield* readEscape(source) : next
  }
}

function* readEscape(source: TextSource): Reading<string> {
  const letter = yield* source.peek()
  source.at++
  const numDigits = CODE_DIGITS[letter]
  if (numDigits === undefined) return ESCAPES[letter] ?? (/['"\\]/.test(letter) ? letter : `\\${letter}`)
  let digits = ''
  while (digits.length < numDigits && /^[\da-fA-F]$/.test(yield* source.peek())) {
    digits += yield* source.peek()
    source.at++
  }
  const code = Number.parseInt(digits, 16)
  return digits.length === numDigits && code <= 0x10ffff ? String.fromCodePoint(code) : `\\${letter}${digits}`
}

const WORDS: Readonly<Record<string, string>> = { True: 'true', False: 'false', None: 'null' }

function scalar(word: string): string | undefined {
  if (Object.hasOwn(WORDS, word)) return WORDS[word]
  if (word !== '' && parsed(word) !== undefined) return word
  return /^[+-]?(\d[\d_]*\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(word)
    ? String(Number(word.replaceAll('_', '')))
    : undefined
}
