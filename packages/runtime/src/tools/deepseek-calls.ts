import type { CallSink } from './call-sink.ts'
import { passJson } from './json-reading.ts'
import type { Reading, TextSource } from './text-source.ts'

export const DEEPSEEK = {
  calls: '<｜tool▁calls▁begin｜>',
  call: '<｜tool▁call▁begin｜>',
  separator: '<｜tool▁sep｜>',
  callEnd: '<｜tool▁call▁end｜>',
  callsEnd: '<｜tool▁calls▁end｜>',
} as const

/**
 * What stands behind the marker of calls. Of V3 and R1 each is `function`, separator, a name, and arguments in a fence; of V3.1 a name, separator,
 * arguments. Returns whether there was a call; it is then read as far as there are calls.
 */
export function* readDeepSeekCalls(source: TextSource, sink: CallSink): Reading<boolean> {
  let place = source.at
  let hasCalls = false
  for (;;) {
    yield* source.space()
    if (hasCalls && (yield* source.skips(DEEPSEEK.callsEnd))) return true
    if (!(yield* source.skips(DEEPSEEK.call)) || !(yield* readCall(source, sink))) {
      source.at = place
      return hasCalls
    }
    hasCalls = true
    place = source.at
  }
}

function* readCall(source: TextSource, sink: CallSink): Reading<boolean> {
  const before = yield* source.run(/[^<\n]/)
  if (!(yield* source.skips(DEEPSEEK.separator))) return false
  const isBare = yield* source.sees('{')
  const name = isBare ? before : (yield* source.run(/[^<\n`{]/)).trim()
  yield* source.space()
  if (!isBare && !(yield* source.skips('```json'))) return false
  yield* source.space()
  if (name === '' || !(yield* source.sees('{'))) return false
  sink.call(name)
  if (!(yield* passJson(source, (text) => sink.arguments(text)))) return true
  const end = source.at
  yield* source.space()
  yield* source.skips('```')
  if (!(yield* source.skips(DEEPSEEK.callEnd))) source.at = end
  return true
}
