import type { Reading, TextSource } from './text-source.ts'

/** `[call, call, …]`. @param readCall reads one; when it is none, nothing was told. Returns whether there was a call; it is then read as far as there are calls. */
export function* readCallList(source: TextSource, readCall: () => Reading<boolean>): Reading<boolean> {
  if (!(yield* source.skips('['))) return false
  let place = source.at
  let hasCalls = false
  for (;;) {
    yield* source.space()
    if (!(yield* readCall())) {
      source.at = place
      return hasCalls
    }
    hasCalls = true
    place = source.at
    yield* source.space()
    if (yield* source.skips(']')) return true
    if (!(yield* source.skips(','))) {
      source.at = place
      return true
    }
  }
}
