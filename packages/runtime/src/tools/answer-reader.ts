import type { CallFamily } from './call-family.ts'
import type { CallSink } from './call-sink.ts'
import type { KnownTools } from './known-tools.ts'
import type { Reading } from './text-source.ts'
import { TextSource } from './text-source.ts'

export interface Thoughts {
  /** Whether the prompt's last word is `<think>`. */
  readonly isOpen: boolean
  /** Whether they are told apart from text. */
  readonly apart: boolean
}

export interface AnswerFormat {
  /** Absent: there are no calls to be found. */
  readonly calls?: { readonly family: CallFamily; readonly tools: KnownTools }
  /** Absent: the model does not think aloud. */
  readonly thoughts?: Thoughts
}

const THOUGHTS = { begin: '<think>', end: '</think>' } as const
export const THOUGHT_MARKS: readonly string[] = Object.values(THOUGHTS)

/**
 * Tells an answer's text, thoughts and calls apart while it comes. Text is told at once but for what may be the beginning of a call, and the space before
 * that; what begins like a call and is none comes out as text. Space around calls is dropped.
 */
export class AnswerReader {
  readonly #source = new TextSource()
  readonly #reading: Reading<void>

  constructor(format: AnswerFormat, sink: CallSink) {
    this.#reading = readAnswer(this.#source, sink, format)
  }

  push(text: string): void {
    this.#source.add(text)
    this.#reading.next()
  }

  /** No more comes: tells what was held back. */
  end(): void {
    this.#source.end()
    this.#reading.next()
  }
}

function* readAnswer(source: TextSource, sink: CallSink, { calls, thoughts }: AnswerFormat): Reading<void> {
  if (thoughts !== undefined) yield* readThoughts(source, sink, thoughts)
  if (calls === undefined) yield* readRest(source, sink)
  else yield* readCalls(source, sink, calls)
}

function* readThoughts(source: TextSource, sink: CallSink, { isOpen, apart }: Thoughts): Reading<void> {
  const start = source.at
  yield* source.space()
  if (!(yield* source.skips(THOUGHTS.begin)) && !isOpen) {
    source.at = start
    return
  }
  if (!apart) sink.text(source.since(start))
  else yield* source.space()
  yield* readUntil(source, THOUGHTS.end, (text) => (apart ? sink.reasoning(text) : sink.text(text)), apart)
  if (yield* source.skips(THOUGHTS.end)) {
    if (apart) yield* source.space()
    else sink.text(THOUGHTS.end)
  }
}

/** Passes text on up to a word. @param trims without the space before it. */
function* readUntil(
  source: TextSource,
  word: string,
  say: (text: string) => void,
  trims: boolean,
): Reading<void> {
  for (;;) {
    const space = yield* source.space()
    const isAtEnd = (yield* source.peek()) === '' || (yield* source.sees(word))
    if (!isAtEnd || !trims) say(space)
    if (isAtEnd) return
    say(yield* source.peek())
    source.at++
  }
}

function* readRest(source: TextSource, sink: CallSink): Reading<void> {
  for (let next = yield* source.peek(); next !== ''; next = yield* source.peek()) {
    sink.text(next)
    source.at++
  }
}

function* readCalls(
  source: TextSource,
  sink: CallSink,
  { family, tools }: AnswerFormat['calls'] & {},
): Reading<void> {
  let hasText = false
  let hasCalls = false
  for (;;) {
    const space = yield* source.space()
    const next = yield* source.peek()
    if (next === '') {
      if (!hasCalls) sink.text(space)
      return
    }
    const start = source.at
    const mayCall = !hasText || family.atStart !== true
    const opener = mayCall ? yield* openerAt(source, family.openers) : undefined
    if (opener !== undefined && (yield* family.read(source, sink, tools, opener))) {
      hasCalls = true
      hasText = false
      continue
    }
    // No call: this much is text, and what follows is looked at again.
    source.at = start + (opener ?? next).length
    sink.text(space + (opener ?? next))
    hasText = true
  }
}

/** Moves behind the opener that stands here. */
function* openerAt(source: TextSource, openers: readonly string[]): Reading<string | undefined> {
  for (const opener of openers) if (yield* source.skips(opener)) return opener
  return undefined
}
