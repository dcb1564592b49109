import type { ChatMessage, ToolDefinition } from '@tabserve/protocol'
import { parsed } from './json-reading.ts'

/**
 * Messages in the words of chat templates, which are OpenAI's; arguments are objects, as they expect. @param template decides what stands for the
 * text of an answer that is calls only: some ask for none, others cannot read it.
 */
export function templateMessages(messages: readonly ChatMessage[], template: string): readonly object[] {
  const asksForNone = /content['"]?\]? is none/.test(template)
  const names = new Map(messages.flatMap(({ toolCalls = [] }) => toolCalls.map(({ id, name }) => [id, name])))
  return messages.map(({ role, content, toolCalls = [], toolCallId, reasoning }) => ({
    role,
    content: content === '' && toolCalls.length > 0 && asksForNone ? null : content,
    ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
    ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls.map(templateCall) }),
    ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
    ...(toolCallId === undefined || !names.has(toolCallId) ? {} : { name: names.get(toolCallId) }),
  }))
}

/** Tools in the same words; what a template does not know of is left out. */
export function templateTools(tools: readonly ToolDefinition[]): readonly object[] {
  return tools.map(({ name, description, parameters = { type: 'object', properties: {} } }) => ({
    type: 'function',
    function: { name, ...(description === undefined ? {} : { description }), parameters },
  }))
}

function templateCall({ id, name, arguments: text }: NonNullable<ChatMessage['toolCalls']>[number]): object {
  const value = parsed(text)
  const isObject = typeof value === 'object' && value !== null
  return { id, type: 'function', function: { name, arguments: isObject ? value : text } }
}
