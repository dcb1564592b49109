import type { ChatMessage } from '@tabserve/protocol'
import type { ChatToolCall } from './chat-calls.ts'
import { readChatCalls } from './chat-calls.ts'
import type { Fields } from './fields.ts'
import { unsupported, wrong } from './fields.ts'

/** `developer` is `system` to models, which know no such role. */
export interface ChatMessageParam {
  role: 'system' | 'developer' | 'user' | 'assistant' | 'tool'
  /** `null` or absent of an answer that is calls only. */
  content?: string | { type: 'text'; text: string }[] | null
  name?: string
  /** Of `assistant`. */
  tool_calls?: ChatToolCall[]
  /** Of `assistant`: what it thought. */
  reasoning_content?: string | null
  /** Of `tool`. */
  tool_call_id?: string
}

/** Messages as models know them, out of OpenAI's. Throws `unsupported_parameter` for pictures, `bad_request`. */
export function chatMessages(fields: Fields): ChatMessage[] {
  const { messages } = fields
  if (!Array.isArray(messages) || messages.length === 0)
    throw wrong('messages', 'must be a list with at least one message.')
  return messages.map((message: unknown, index) => {
    const param = `messages[${index}]`
    if (typeof message !== 'object' || message === null) throw wrong(param, 'must be an object.')
    return messageOf(message as Record<string, unknown>, param)
  })
}

function messageOf(message: Record<string, unknown>, param: string): ChatMessage {
  const { content, tool_calls: calls, tool_call_id: callId, reasoning_content: reasoning } = message
  const role = roleOf(message['role'], param)
  const toolCalls = calls === undefined || calls === null ? [] : readChatCalls(calls, `${param}.tool_calls`)
  if (toolCalls.length > 0 && role !== 'assistant')
    throw wrong(`${param}.tool_calls`, 'is for assistants only.')
  if (role === 'tool' && typeof callId !== 'string') throw wrong(`${param}.tool_call_id`, 'must be a string.')
  const isBare = toolCalls.length > 0 && (content === undefined || content === null)
  return {
    role,
    content: isBare ? '' : contentOf(content, `${param}.content`),
    ...(toolCalls.length === 0 ? {} : { toolCalls }),
    ...(role === 'tool' ? { toolCallId: callId as string } : {}),
    ...(role === 'assistant' && typeof reasoning === 'string' ? { reasoning } : {}),
  }
}

/** @param textTypes the types of parts that hold text. */
export function contentOf(content: unknown, param: string, textTypes: readonly string[] = ['text']): string {
  if (typeof content === 'string') return content
  if (!Array.isArray(content)) throw wrong(param, 'must be a string or a list of parts.')
  return content
    .map((part: unknown, index) => {
      const { type, text } = (part ?? {}) as { type?: unknown; text?: unknown }
      const where = `${param}[${index}]`
      if (typeof type !== 'string') throw wrong(`${where}.type`, 'must be a string.')
      if (!textTypes.includes(type))
        throw unsupported(`${where}.type`, `${where}.type is ${type}; tabserve reads text only.`)
      if (typeof text !== 'string') throw wrong(`${where}.text`, 'must be a string.')
      return text
    })
    .join('')
}

export function roleOf(role: unknown, param: string): ChatMessage['role'] {
  if (role === 'developer') return 'system'
  if (role === 'system' || role === 'user' || role === 'assistant' || role === 'tool') return role
  if (role === 'function')
    throw unsupported(`${param}.role`, `${param}.role is function, OpenAI's old word; use tool.`)
  throw wrong(`${param}.role`, 'must be system, developer, user, assistant or tool.')
}
