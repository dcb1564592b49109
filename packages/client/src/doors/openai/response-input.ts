import type { ChatMessage, ToolCall } from '@tabserve/protocol'
import { contentOf, roleOf } from './chat-messages.ts'
import type { Fields } from './fields.ts'
import { unsupported, wrong } from './fields.ts'

/** Messages as models know them, out of `instructions` and `input`. Throws `unsupported_parameter` for items that are none, `bad_request`. */
export function responseMessages(fields: Fields): ChatMessage[] {
  const { input } = fields
  const instructions = instructionsOf(fields)
  const messages: ChatMessage[] =
    instructions === undefined ? [] : [{ role: 'system', content: instructions }]
  if (typeof input === 'string') return [...messages, { role: 'user', content: input }]
  if (!Array.isArray(input) || input.length === 0)
    throw wrong('input', 'must be a text or a list of messages.')
  for (const [index, item] of input.entries())
    add(messages, (item ?? {}) as Record<string, unknown>, `input[${index}]`)
  return messages
}

export function instructionsOf({ instructions }: Fields): string | undefined {
  if (instructions === undefined || typeof instructions === 'string') return instructions
  throw wrong('instructions', 'must be a text.')
}

const TEXT_TYPES = ['input_text', 'output_text']

function add(messages: ChatMessage[], item: Record<string, unknown>, param: string): void {
  const { type = 'message', role, content, call_id: callId, output } = item
  switch (type) {
    case 'message':
      messages.push({
        role: roleOf(role, param),
        content: contentOf(content, `${param}.content`, TEXT_TYPES),
      })
      return
    case 'function_call':
      return addCall(messages, callOf(item, param))
    case 'function_call_output':
      if (typeof callId !== 'string') throw wrong(`${param}.call_id`, 'must be a string.')
      messages.push({
        role: 'tool',
        toolCallId: callId,
        content: contentOf(output, `${param}.output`, TEXT_TYPES),
      })
      return
    case 'reasoning':
      return // what a model has thought does not come back to it
    default:
      throw unsupported(param, `${param} is of type ${String(type)}, which tabserve does not read.`)
  }
}

/** Calls belong to the answer that they come behind. */
function addCall(messages: ChatMessage[], call: ToolCall): void {
  const last = messages.at(-1)
  if (last?.role === 'assistant')
    messages.splice(-1, 1, { ...last, toolCalls: [...(last.toolCalls ?? []), call] })
  else messages.push({ role: 'assistant', content: '', toolCalls: [call] })
}

function callOf({ call_id: id, name, arguments: text }: Record<string, unknown>, param: string): ToolCall {
  if (typeof id === 'string' && typeof name === 'string' && typeof text === 'string')
    return { id, name, arguments: text }
  throw wrong(param, 'needs call_id, name and arguments, all of them texts.')
}
