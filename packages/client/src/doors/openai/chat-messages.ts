import type { ChatMessage } from '@tabserve/protocol'
import type { Fields } from './fields.ts'
import { unsupported, wrong } from './fields.ts'

/** `developer` is `system` to models, which know no such role. */
export interface ChatMessageParam {
  role: 'system' | 'developer' | 'user' | 'assistant'
  content: string | { type: 'text'; text: string }[]
  name?: string
}

/** Messages as models know them, out of OpenAI's. Throws `unsupported_parameter` for tools and pictures, `bad_request`. */
export function chatMessages(fields: Fields): ChatMessage[] {
  const { messages } = fields
  if (!Array.isArray(messages) || messages.length === 0)
    throw wrong('messages', 'must be a list with at least one message.')
  return messages.map((message: unknown, index) => {
    const param = `messages[${index}]`
    if (typeof message !== 'object' || message === null) throw wrong(param, 'must be an object.')
    const { role, content, tool_calls } = message as {
      role?: unknown
      content?: unknown
      tool_calls?: unknown
    }
    if (tool_calls !== undefined && tool_calls !== null) throw noTools(`${param}.tool_calls`)
    return { role: roleOf(role, param), content: contentOf(content, `${param}.content`) }
  })
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
  if (role === 'system' || role === 'user' || role === 'assistant') return role
  if (role === 'tool' || role === 'function') throw noTools(`${param}.role`)
  throw wrong(`${param}.role`, 'must be system, developer, user or assistant.')
}

function noTools(param: string): Error {
  return unsupported(param, `${param}: tabserve does not call tools yet.`)
}
