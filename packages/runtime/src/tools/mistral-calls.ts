import type { CallSink } from './call-sink.ts'
import { readJsonCalls } from './json-call.ts'
import { passJson } from './json-reading.ts'
import type { Reading, TextSource } from './text-source.ts'

/**
 * What stands behind `[TOOL_CALLS]`: a list of JSON objects; of newer models one call, its name, perhaps `[CALL_ID]` and an id, perhaps `[ARGS]`, then
 * the arguments. Returns whether it is a call; when it is not, nothing was told.
 */
export function* readMistralCalls(source: TextSource, sink: CallSink): Reading<boolean> {
  yield* source.space()
  const name = yield* source.run(/[\w.-]/)
  if (name === '') return yield* readJsonCalls(source, sink, () => true)
  if (yield* source.skips('[CALL_ID]')) yield* source.run(/\w/)
  yield* source.skips('[ARGS]')
  yield* source.space()
  if (!(yield* source.sees('{'))) return false
  sink.call(name)
  yield* passJson(source, (text) => sink.arguments(text))
  return true
}
