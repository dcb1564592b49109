import type { ToolCall, ToolCallDelta } from '@tabserve/protocol'
import { wrong } from './fields.ts'

/** A call as `chat.completions` writes it. */
export interface ChatToolCall {
  id: string
  type: 'function'
  function: { name: string; arguments: string }
}

/** A piece of one: `id`, `type` and `name` come with the first. */
export interface ChatToolCallDelta {
  index: number
  id?: string
  type?: 'function'
  function: { name?: string; arguments: string }
}

export function chatCall({ id, name, arguments: text }: ToolCall): ChatToolCall {
  return { id, type: 'function', function: { name, arguments: text } }
}

export function chatCallDelta({ index, id, name, arguments: text }: ToolCallDelta): ChatToolCallDelta {
  if (id === undefined || name === undefined) return { index, function: { arguments: text } }
  return { index, id, type: 'function', function: { name, arguments: text } }
}

/** Calls of an earlier answer. Throws `bad_request`. */
export function readChatCalls(calls: unknown, param: string): ToolCall[] {
  if (!Array.isArray(calls)) throw wrong(param, 'must be a list.')
  return calls.map((call: unknown, index) => {
    const { id, function: called } = (call ?? {}) as { id?: unknown; function?: unknown }
    const { name, arguments: text } = (called ?? {}) as { name?: unknown; arguments?: unknown }
    if (typeof id !== 'string' || typeof name !== 'string' || typeof text !== 'string')
      throw wrong(
        `${param}[${index}]`,
        'needs an id, a function.name and function.arguments, all of them texts.',
      )
    return { id, name, arguments: text }
  })
}
