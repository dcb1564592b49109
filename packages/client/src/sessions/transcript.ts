import type { ChatMessage, SessionState, TokenizeRequest } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** What a session has read and said: messages, or one text. Which of them is decided by what comes first. */
export type Transcript =
  | { readonly kind: 'empty' }
  | { readonly kind: 'chat'; readonly messages: readonly ChatMessage[] }
  | { readonly kind: 'text'; readonly text: string }

/** Throws `bad_request` where messages are to follow a text, or a text messages. */
export function extended(transcript: Transcript, input: string | readonly ChatMessage[]): Transcript {
  if (typeof input === 'string') {
    if (transcript.kind === 'chat') throw mixed('a conversation: append messages')
    return { kind: 'text', text: (transcript.kind === 'text' ? transcript.text : '') + input }
  }
  if (!Array.isArray(input))
    throw new EngineError('bad_request', 'What is appended is a text or a list of messages.')
  if (transcript.kind === 'text') throw mixed('a text: append text')
  return { kind: 'chat', messages: [...messagesOf(transcript), ...input] }
}

/** With what the model has said behind it: an answer, or more of the one that it was giving. */
export function answered(transcript: Transcript, text: string): Transcript {
  if (transcript.kind !== 'chat') return extended(transcript, text)
  const last = transcript.messages.at(-1)
  if (last?.role !== 'assistant') return extended(transcript, [{ role: 'assistant', content: text }])
  const longer: ChatMessage = { ...last, content: last.content + text }
  return { kind: 'chat', messages: [...transcript.messages.slice(0, -1), longer] }
}

export function messagesOf(transcript: Transcript): readonly ChatMessage[] {
  return transcript.kind === 'chat' ? transcript.messages : []
}

/** How the model would read it; `undefined` where there is nothing to read. */
export function toTokenize(transcript: Transcript, model: string): TokenizeRequest | undefined {
  if (transcript.kind === 'text')
    return transcript.text === '' ? undefined : { model, prompt: transcript.text }
  return transcript.kind === 'chat' && transcript.messages.length > 0
    ? { model, messages: transcript.messages }
    : undefined
}

export function fromState({ messages, text }: SessionState): Transcript {
  if (messages !== undefined) return { kind: 'chat', messages }
  return text === undefined ? { kind: 'empty' } : { kind: 'text', text }
}

export function toState(transcript: Transcript): Pick<SessionState, 'messages' | 'text'> {
  if (transcript.kind === 'chat') return { messages: transcript.messages }
  return transcript.kind === 'text' ? { text: transcript.text } : {}
}

function mixed(what: string): EngineError {
  return new EngineError('bad_request', `This session is ${what}, or open another.`)
}
