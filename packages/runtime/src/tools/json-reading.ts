import type { Reading, TextSource } from './text-source.ts'

/**
 * Passes one JSON value on, as it is written and as it comes. It knows where the value ends, and what can be nowhere outside a string, no more: whether
 * it is JSON is for the reader of the whole to say. Returns whether it came to its end.
 */
export function* passJson(source: TextSource, say: (text: string) => void): Reading<boolean> {
  const closers: string[] = []
  do {
    const next = yield* source.peek()
    const closer = CLOSERS[next]
    if (next === '"') {
      if (!(yield* passString(source, say))) return false
      continue
    }
    if (closer !== undefined) closers.push(closer)
    else if (next === closers.at(-1)) closers.pop()
    else if (closers.length === 0) return yield* passScalar(source, say)
    else if (!BETWEEN.test(next)) return false
    source.at++
    say(next)
  } while (closers.length > 0)
  return true
}

const CLOSERS: Readonly<Record<string, string>> = { '{': '}', '[': ']' }
/** What stands between brackets and strings. */
const BETWEEN = /^[\s\w.,:+-]$/

function* passScalar(source: TextSource, say: (text: string) => void): Reading<boolean> {
  const scalar = yield* source.run(/[\w.+-]/)
  say(scalar)
  return scalar !== ''
}

function* passString(source: TextSource, say: (text: string) => void): Reading<boolean> {
  let isEscaped = false
  let isOpen = false
  for (;;) {
    const next = yield* source.peek()
    if (next === '') return false
    source.at++
    say(next)
    if (isEscaped) isEscaped = false
    else if (next === '\\') isEscaped = true
    else if (next === '"' && isOpen) return true
    isOpen = true
  }
}

/** The text of a JSON string; `undefined` where none stands there. */
export function* readString(source: TextSource): Reading<string | undefined> {
  if (!(yield* source.sees('"'))) return undefined
  let literal = ''
  const isWhole = yield* passString(source, (text) => (literal += text))
  const value = isWhole ? parsed(literal) : undefined
  return typeof value === 'string' ? value : undefined
}

/** What a JSON text says; `undefined` where it is none. */
export function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined // which no JSON text says
  }
}
