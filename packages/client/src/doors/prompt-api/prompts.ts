import type { ChatMessage } from '@tabserve/protocol'
import { notSupported } from './exceptions.ts'

export type PromptRole = 'system' | 'user' | 'assistant'

/** A message in the Prompt API's words; only text is taken. */
export interface PromptMessage {
  readonly role: PromptRole
  readonly content: string | readonly { readonly type: string; readonly value: unknown }[]
  /** Asks to go on from here; not supported. */
  readonly prefix?: boolean
}

/** What a prompt can be: a text of the user's, or messages. */
export type PromptInput = string | readonly PromptMessage[]

/** Throws `NotSupportedError` for what is not text, `TypeError` for what is no prompt. */
export function messagesOf(input: PromptInput): ChatMessage[] {
  if (typeof input === 'string') return [{ role: 'user', content: input }]
  if (!Array.isArray(input)) throw new TypeError('A prompt is a text or a list of messages.')
  return input.map(({ role, content, prefix }: PromptMessage) => {
    if (!['system', 'user', 'assistant'].includes(role))
      throw new TypeError(`A message's role is system, user or assistant, not ${String(role)}.`)
    if (prefix === true) throw notSupported('A prefix of the answer')
    return { role, content: textOf(content) }
  })
}

function textOf(content: PromptMessage['content']): string {
  if (typeof content === 'string') return content
  return content
    .map(({ type, value }) => {
      if (type === 'text' && typeof value === 'string') return value
      throw notSupported(`Content of type ${type}`)
    })
    .join('')
}
