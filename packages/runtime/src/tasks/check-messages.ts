import type { ChatMessage, GenerateRequest } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

const ROLES: readonly unknown[] = ['system', 'user', 'assistant', 'tool']

/** Throws `bad_request` for what is no list of messages. */
export function checkMessages(messages: GenerateRequest['messages'] & {}): readonly ChatMessage[] {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new EngineError('bad_request', 'messages must be a list with at least one message.')
  }
  for (const [index, message] of messages.entries()) {
    const problem = problemOf((message ?? {}) as Record<string, unknown>)
    if (problem !== undefined) throw new EngineError('bad_request', `messages[${index}] ${problem}`)
  }
  return messages
}

/** Throws `bad_request`. */
export function checkTemplateOptions(options: unknown): Readonly<Record<string, unknown>> {
  if (options === undefined) return {}
  if (typeof options === 'object' && options !== null && !Array.isArray(options))
    return options as Readonly<Record<string, unknown>>
  throw new EngineError('bad_request', 'templateOptions must be an object.')
}

function problemOf({ role, content, toolCalls, toolCallId, reasoning }: Record<string, unknown>) {
  if (!ROLES.includes(role) || typeof content !== 'string')
    return 'needs a role (system, user, assistant or tool) and a string as content.'
  if (toolCalls !== undefined && (role !== 'assistant' || !isCalls(toolCalls)))
    return 'may have toolCalls only as an assistant, a list of { id, name, arguments }, all of them texts.'
  if (toolCallId !== undefined && (role !== 'tool' || typeof toolCallId !== 'string'))
    return 'may have a toolCallId, a text, only as a tool.'
  if (reasoning !== undefined && (role !== 'assistant' || typeof reasoning !== 'string'))
    return 'may have reasoning, a text, only as an assistant.'
  return undefined
}

function isCalls(calls: unknown): boolean {
  return (
    Array.isArray(calls) &&
    calls.every((call: unknown) => {
      const { id, name, arguments: text } = (call ?? {}) as Record<string, unknown>
      return [id, name, text].every((value) => typeof value === 'string')
    })
  )
}
