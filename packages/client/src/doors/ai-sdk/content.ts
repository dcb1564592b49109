import type { LanguageModelV4Content, LanguageModelV4ToolCall } from '@ai-sdk/provider'
import type { ToolCall } from '@tabserve/protocol'
import type { Choice } from '../../generation.ts'

/** An answer in parts: what was thought, what was said (also nothing, where that is all), what is called. */
export function contentOf({ text, reasoning, toolCalls }: Choice): LanguageModelV4Content[] {
  return [
    ...(reasoning === undefined ? [] : [{ type: 'reasoning' as const, text: reasoning }]),
    ...(text === '' && toolCalls.length > 0 ? [] : [{ type: 'text' as const, text }]),
    ...toolCalls.map(callPart),
  ]
}

export function callPart({ id, name, arguments: input }: ToolCall): LanguageModelV4ToolCall {
  return { type: 'tool-call', toolCallId: id, toolName: name, input }
}
