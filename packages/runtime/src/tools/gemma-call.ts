import { ArgumentWriter } from './argument-writer.ts'
import type { CallSink } from './call-sink.ts'
import { parsed } from './json-reading.ts'
import type { KnownTools } from './known-tools.ts'
import type { Reading, TextSource } from './text-source.ts'

/** What stands around a string: of FunctionGemma, and of Gemma 4. */
export const GEMMA_QUOTES = ['<escape>', '<|"|>']

/** `call:name{key:value,…}`: strings between quotes of its own, everything else bare. Returns whether it is a call; when it is not, nothing was told. */
export function* readGemmaCall(source: TextSource, sink: CallSink, tools: KnownTools): Reading<boolean> {
  if (!(yield* source.skips('call:'))) return false
  const name = yield* source.run(/[\w.-]/)
  if (name === '' || !(yield* source.skips('{'))) return false
  const writer = new ArgumentWriter(sink, name)
  for (;;) {
    yield* source.space()
    if (yield* source.skips('}')) return writer.end()
    const key = yield* readKey(source)
    if (key === undefined) return writer.isTold
    const value = yield* readValue(source, (text) => tools.typed(name, key, text))
    if (value === undefined) return writer.isTold
    writer.add(key, value)
    yield* source.space()
    // Models leave the comma out, too.
    yield* source.skips(',')
  }
}

/** A key and its colon. */
function* readKey(source: TextSource): Reading<string | undefined> {
  const quoted = yield* readQuoted(source)
  const key = quoted ?? (yield* source.run(/[^:{}[\],<>\s]/))
  return key !== '' && (yield* source.skips(':')) ? key : undefined
}

/** @param typed what a text is that may be more. */
function* readValue(source: TextSource, typed: (text: string) => string): Reading<string | undefined> {
  yield* source.space()
  if (yield* source.skips('{')) return yield* readObject(source)
  if (yield* source.skips('[')) return yield* readList(source)
  const quoted = yield* readQuoted(source)
  if (quoted !== undefined) return typed(quoted)
  const bare = (yield* source.run(/[^,{}[\]<>]/)).trim()
  if (bare === '') return undefined
  return parsed(bare) === undefined ? JSON.stringify(bare) : bare
}

function* readObject(source: TextSource): Reading<string | undefined> {
  const members: string[] = []
  for (;;) {
    yield* source.space()
    if (yield* source.skips('}')) return `{${members.join(', ')}}`
    const key = yield* readKey(source)
    if (key === undefined) return undefined
    const value = yield* readValue(source, JSON.stringify)
    if (value === undefined) return undefined
    members.push(`${JSON.stringify(key)}: ${value}`)
    yield* source.skips(',')
  }
}

function* readList(source: TextSource): Reading<string | undefined> {
  const items: string[] = []
  for (;;) {
    yield* source.space()
    if (yield* source.skips(']')) return `[${items.join(', ')}]`
    const item = yield* readValue(source, JSON.stringify)
    if (item === undefined) return undefined
    items.push(item)
    yield* source.skips(',')
  }
}

function* readQuoted(source: TextSource): Reading<string | undefined> {
  for (const quote of GEMMA_QUOTES) {
    if (!(yield* source.skips(quote))) continue
    const text = yield* source.until([quote])
    if (text !== undefined) yield* source.skips(quote)
    return text
  }
  return undefined
}
