import { ArgumentWriter } from './argument-writer.ts'
import type { CallSink } from './call-sink.ts'
import type { KnownTools } from './known-tools.ts'
import type { Reading, TextSource } from './text-source.ts'

/** What ends a value: its own end, or, where a model forgets that, what can only come behind it. */
const VALUE_ENDS = ['</parameter>', '<parameter=', '</function>']

/**
 * What stands behind `<function=`: `name>`, then `<parameter=key>`, a value on lines of its own, `</parameter>` over and over, then `</function>`. What
 * a value is, the tool's schema says. Returns whether it is a call; when it is not, nothing was told.
 */
export function* readXmlCall(source: TextSource, sink: CallSink, tools: KnownTools): Reading<boolean> {
  const name = (yield* source.run(/[^<>\n]/)).trim()
  if (name === '' || !(yield* source.skips('>'))) return false
  const writer = new ArgumentWriter(sink, name)
  for (;;) {
    yield* source.space()
    if (yield* source.skips('</function>')) return writer.end()
    if (!(yield* source.skips('<parameter='))) return writer.isTold
    const key = (yield* source.run(/[^<>\n]/)).trim()
    if (!(yield* source.skips('>'))) return writer.isTold
    const value = yield* source.until(VALUE_ENDS)
    if (value === undefined) return writer.isTold
    yield* source.skips('</parameter>')
    writer.add(key, tools.typed(name, key, value.replace(/^\n|\n$/g, '')))
  }
}
