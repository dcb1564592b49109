import { readCallList } from './call-list.ts'
import type { CallSink } from './call-sink.ts'
import { parsed, passJson, readString } from './json-reading.ts'
import type { Reading, TextSource } from './text-source.ts'

/** Names that count as a tool's: a JSON object without a marker in front may be anything. */
export type IsTool = (name: string) => boolean

/**
 * A call as a JSON object, `{"name": …, "arguments": {…}}` or with `parameters`, in any order, or the same within `"function"`. Arguments are told as
 * they come, once the name is known. Returns whether it is a call; when it is not, nothing was told.
 */
export function* readJsonCall(source: TextSource, sink: CallSink, isTool: IsTool): Reading<boolean> {
  const call = new JsonCall(sink, isTool)
  const isWhole = yield* readMembers(source, call)
  return call.isTold || (isWhole && call.tellAtLast())
}

/** `[{…}, {…}]`. Returns whether there was a call; it is then read as far as there are calls. */
export function readJsonCalls(source: TextSource, sink: CallSink, isTool: IsTool): Reading<boolean> {
  return readCallList(source, () => readJsonCall(source, sink, isTool))
}

/** What is known of a call on its way. */
class JsonCall {
  readonly #sink: CallSink
  readonly #isTool: IsTool
  #name: string | undefined
  /** Arguments that came before the name. */
  #early: string | undefined
  isTold = false

  constructor(sink: CallSink, isTool: IsTool) {
    this.#sink = sink
    this.#isTool = isTool
  }

  /** Returns whether it can be a tool's. */
  named(name: string): boolean {
    if (this.#name !== undefined || !this.#isTool(name)) return false
    this.#name = name
    if (this.#early !== undefined) this.#tell(this.#early)
    return true
  }

  /** Takes a piece of the arguments' text. */
  take(text: string): void {
    if (this.isTold) this.#sink.arguments(text)
    else if (this.#name === undefined) this.#early = (this.#early ?? '') + text
    else this.#tell(text)
  }

  /** A call without arguments is one, too. Returns whether it is a call. */
  tellAtLast(): boolean {
    if (this.#name !== undefined && !this.isTold) this.#tell('{}')
    return this.isTold
  }

  #tell(text: string): void {
    this.isTold = true
    this.#sink.call(this.#name ?? '')
    this.#sink.arguments(text)
  }
}

const ARGUMENTS = ['arguments', 'parameters']

/** Returns whether the object came to its end. */
function* readMembers(source: TextSource, call: JsonCall): Reading<boolean> {
  if (!(yield* source.skips('{'))) return false
  for (;;) {
    yield* source.space()
    const key = yield* readString(source)
    if (key === undefined) return false
    yield* source.space()
    if (!(yield* source.skips(':'))) return false
    yield* source.space()
    if (!(yield* readMember(source, call, key))) return false
    yield* source.space()
    if (yield* source.skips('}')) return true
    if (!(yield* source.skips(','))) return false
  }
}

function* readMember(source: TextSource, call: JsonCall, key: string): Reading<boolean> {
  if (key === 'name') {
    const name = yield* readString(source)
    return name !== undefined && call.named(name)
  }
  if (key === 'function' && (yield* source.sees('{'))) return yield* readMembers(source, call)
  if (!ARGUMENTS.includes(key) || call.isTold) return yield* passJson(source, () => {})
  if (yield* source.sees('{')) return yield* passJson(source, (text) => call.take(text))
  return yield* readOtherArguments(source, call)
}

/** `null` is as good as none, and some write the object's JSON into a string. */
function* readOtherArguments(source: TextSource, call: JsonCall): Reading<boolean> {
  let literal = ''
  if (!(yield* passJson(source, (text) => (literal += text)))) return false
  const value = parsed(literal)
  const text = value === null ? '{}' : value
  const inner = typeof text === 'string' ? parsed(text) : undefined
  if (typeof text !== 'string' || typeof inner !== 'object' || inner === null || Array.isArray(inner))
    return false
  call.take(text)
  return true
}
