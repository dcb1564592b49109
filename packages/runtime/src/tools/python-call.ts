import { readCallList } from './call-list.ts'
import type { CallSink } from './call-sink.ts'
import type { IsTool } from './json-call.ts'
import { ArgumentWriter } from './argument-writer.ts'
import { readPython } from './python-reading.ts'
import type { Reading, TextSource } from './text-source.ts'

/** `[name(argument=value, …), …]`, values as Python writes them. Returns whether there was a call; it is then read as far as there are calls. */
export function readPythonCalls(source: TextSource, sink: CallSink, isTool: IsTool): Reading<boolean> {
  return readCallList(source, () => readPythonCall(source, sink, isTool))
}

/** Returns whether it is a call; when it is not, nothing was told. */
function* readPythonCall(source: TextSource, sink: CallSink, isTool: IsTool): Reading<boolean> {
  const name = yield* source.run(/[\w.-]/)
  if (name === '' || !(yield* source.skips('(')) || !isTool(name)) return false
  const writer = new ArgumentWriter(sink, name)
  for (;;) {
    yield* source.space()
    if (yield* source.skips(')')) return writer.end()
    const key = yield* source.run(/\w/)
    yield* source.space()
    if (key === '' || !(yield* source.skips('='))) return writer.isTold
    yield* source.space()
    const value = yield* readPython(source)
    if (value === undefined) return writer.isTold
    writer.add(key, value)
    yield* source.space()
    if (!(yield* source.skips(',')) && !(yield* source.sees(')'))) return writer.isTold
  }
}
