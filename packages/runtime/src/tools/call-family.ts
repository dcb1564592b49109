import type { ToolParserName } from '@tabserve/protocol'
import type { CallSink } from './call-sink.ts'
import type { CallSyntax } from './call-syntax.ts'
import { listSyntax } from './call-syntax.ts'
import { DEEPSEEK, readDeepSeekCalls } from './deepseek-calls.ts'
import { GEMMA_QUOTES, readGemmaCall } from './gemma-call.ts'
import { readJsonCall, readJsonCalls } from './json-call.ts'
import type { KnownTools } from './known-tools.ts'
import { readMistralCalls } from './mistral-calls.ts'
import { readPythonCalls } from './python-call.ts'
import type { Reading, TextSource } from './text-source.ts'
import { readXmlCall } from './xml-call.ts'

/** How the models of a family write calls of tools. */
export interface CallFamily {
  /** What begins calls. The longest first, where one begins another. */
  readonly openers: readonly string[]
  /** Only where nothing but space and calls stood before: of families whose calls begin with what any text may hold. */
  readonly atStart?: boolean
  /** Tokens of its own beside the openers. Where a vocabulary has one as a special token, it is text to the reader all the same. */
  readonly marks?: readonly string[]
  /** Reads what stands behind an opener. Returns whether it is a call; when it is not, nothing was told. */
  readonly read: (source: TextSource, sink: CallSink, tools: KnownTools, opener: string) => Reading<boolean>
  /** Absent: a grammar cannot write its calls, and calls that must be are written as plain JSON. */
  readonly syntax?: CallSyntax
  /** Whether a chat template is of this family, which the templates of those above it are not. */
  readonly writes: (template: string) => boolean
}

const TOOL_CALL = { open: '<tool_call>', close: '</tool_call>' } as const

/** From the most particular words of a template to the most general. Formats: vLLM's tool parsers and their tests, the families' chat templates. */
export const CALL_FAMILIES: Readonly<Record<ToolParserName, CallFamily>> = {
  'qwen3-coder': {
    openers: [TOOL_CALL.open, '<function='],
    marks: [TOOL_CALL.close],
    *read(source, sink, tools, opener) {
      if (opener === TOOL_CALL.open) yield* source.space()
      if (opener === TOOL_CALL.open && !(yield* source.skips('<function='))) return false
      const isCall = yield* readXmlCall(source, sink, tools)
      if (isCall) yield* skipClose(source, [TOOL_CALL.close])
      return isCall
    },
    writes: (template) => template.includes('<function='),
  },
  lfm2: {
    openers: ['<|tool_call_start|>'],
    marks: ['<|tool_call_end|>'],
    *read(source, sink) {
      yield* source.space()
      const start = source.at
      const isCall =
        (yield* readPythonCalls(source, sink, () => true)) ||
        (yield* again(source, start, () => readJsonCalls(source, sink, () => true)))
      if (isCall) yield* skipClose(source, ['<|tool_call_end|>'])
      return isCall
    },
    syntax: listSyntax('<|tool_call_start|>', '<|tool_call_end|>'),
    writes: (template) => /<\|tool_call_start\|>|List of tools: /.test(template),
  },
  gemma: {
    openers: ['<start_function_call>', '<|tool_call>'],
    marks: ['<end_function_call>', '<tool_call|>', ...GEMMA_QUOTES],
    *read(source, sink, tools) {
      yield* source.space()
      const isCall = yield* readGemmaCall(source, sink, tools)
      if (isCall) yield* skipClose(source, ['<end_function_call>', '<tool_call|>'])
      return isCall
    },
    writes: (template) => /<start_function_call>|<\|tool_call>/.test(template),
  },
  deepseek: {
    openers: [DEEPSEEK.calls],
    marks: Object.values(DEEPSEEK),
    read: (source, sink) => readDeepSeekCalls(source, sink),
    syntax: {
      open: DEEPSEEK.calls,
      begin: (name) => `${DEEPSEEK.call}function${DEEPSEEK.separator}${name}\n\`\`\`json\n`,
      end: `\n\`\`\`${DEEPSEEK.callEnd}`,
      separator: '\n',
      close: DEEPSEEK.callsEnd,
      trigger: DEEPSEEK.calls,
    },
    writes: (template) => template.includes(DEEPSEEK.calls),
  },
  mistral: {
    openers: ['[TOOL_CALLS]'],
    marks: ['[CALL_ID]', '[ARGS]'],
    read: (source, sink) => readMistralCalls(source, sink),
    syntax: listSyntax('[TOOL_CALLS]'),
    writes: (template) => template.includes('[TOOL_CALLS]'),
  },
  internlm: {
    openers: ['<|action_start|><|plugin|>', '<|action_start|> <|plugin|>'],
    marks: ['<|action_start|>', '<|plugin|>', '<|action_end|>'],
    read: jsonReader(['<|action_end|>']),
    syntax: {
      open: '',
      begin: (name) => `<|action_start|><|plugin|>\n{"name": ${JSON.stringify(name)}, "parameters": `,
      end: '}<|action_end|>',
      separator: '\n',
      close: '',
      trigger: '<|action_start|>',
    },
    writes: (template) => template.includes('<|action_start|>'),
  },
  hunyuan: {
    openers: ['<tool_calls>'],
    marks: ['</tool_calls>'],
    read: jsonReader(['</tool_calls>']),
    syntax: listSyntax('<tool_calls>', '</tool_calls>'),
    writes: (template) => template.includes('<tool_calls>'),
  },
  'phi4-mini': {
    openers: ['functools', '<|tool_call|>'],
    marks: ['<|/tool_call|>'],
    read: jsonReader(['<|/tool_call|>']),
    syntax: listSyntax('functools'),
    writes: (template) => /functools|<\|\/tool\|>/.test(template),
  },
  granite: {
    openers: ['<|tool_call|>', TOOL_CALL.open],
    marks: [TOOL_CALL.close],
    read: jsonReader([TOOL_CALL.close]),
    syntax: listSyntax('<|tool_call|>'),
    writes: (template) => template.includes('<|tool_call|>'),
  },
  hermes: {
    openers: [TOOL_CALL.open],
    marks: [TOOL_CALL.close],
    read: jsonReader([TOOL_CALL.close]),
    syntax: {
      open: '',
      begin: (name) => `<tool_call>\n{"name": ${JSON.stringify(name)}, "arguments": `,
      end: '}\n</tool_call>',
      separator: '\n',
      close: '',
      trigger: '<tool_call>',
    },
    writes: (template) => template.includes(TOOL_CALL.open),
  },
  pythonic: {
    openers: ['<|python_start|>', '['],
    atStart: true,
    marks: ['<|python_end|>'],
    *read(source, sink, tools, opener) {
      if (opener === '[') source.at -= 1
      else yield* source.space()
      const isCall = yield* readPythonCalls(source, sink, (name) => tools.has(name))
      if (isCall) yield* skipClose(source, ['<|python_end|>'])
      return isCall
    },
    writes: (template) => /\[func_name1?\(|<\|python_start\|>/.test(template),
  },
  'llama3-json': {
    openers: ['<|python_tag|>', '{'],
    atStart: true,
    *read(source, sink, tools, opener) {
      if (opener === '{') source.at -= 1
      else yield* source.space()
      const isCall = yield* readJsonCall(source, sink, (name) => tools.has(name))
      if (isCall) yield* skipClose(source, [';'])
      return isCall
    },
    syntax: {
      open: '',
      begin: (name) => `{"name": ${JSON.stringify(name)}, "parameters": `,
      end: '}',
      separator: '; ',
      close: '',
      trigger: '{"name": ',
    },
    writes: (template) => /<\|python_tag\|>|"parameters": dictionary of argument name/.test(template),
  },
}

/** The family whose words a chat template has. */
export function familyOf(template: string | undefined): ToolParserName | undefined {
  if (template === undefined || !/\btools\b/.test(template)) return undefined
  const names = Object.keys(CALL_FAMILIES) as ToolParserName[]
  return names.find((name) => CALL_FAMILIES[name].writes(template))
}

/** Of calls that a grammar makes where the family is not known, or has no syntax. */
export const PLAIN_JSON: CallFamily = {
  openers: ['[', '{'],
  atStart: true,
  *read(source, sink, tools, opener) {
    source.at -= 1
    const isTool = (name: string) => tools.has(name)
    if (opener === '{') return yield* readJsonCall(source, sink, isTool)
    return yield* readJsonCalls(source, sink, isTool)
  },
  syntax: { ...listSyntax(''), trigger: '[' },
  writes: () => false,
}

/** One object or a list of them, and a closing marker that may be missing. */
function jsonReader(closers: readonly string[]): CallFamily['read'] {
  return function* (source, sink) {
    yield* source.space()
    const read = (yield* source.sees('[')) ? readJsonCalls : readJsonCall
    const isCall = yield* read(source, sink, () => true)
    if (isCall) yield* skipClose(source, closers)
    return isCall
  }
}

/** Moves behind a closing marker, and the space before it, where there is one. */
function* skipClose(source: TextSource, closers: readonly string[]): Reading<void> {
  const end = source.at
  yield* source.space()
  for (const closer of closers) if (yield* source.skips(closer)) return
  source.at = end
}

/** Reads once more from a place. */
function* again(source: TextSource, place: number, read: () => Reading<boolean>): Reading<boolean> {
  source.at = place
  return yield* read()
}
