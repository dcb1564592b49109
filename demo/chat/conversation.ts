import type { ChatMessage } from 'tabserve'

/** `chat` asks through the model's chat template, `continue` has the model go on with the text. */
export type Mode = 'chat' | 'continue'

/** What has been said in chat mode. Only answered questions are remembered: a template wants them in pairs. */
export class Conversation {
  readonly #messages: ChatMessage[] = []

  /** The request's part for a text that is about to be sent. */
  ask(mode: Mode, text: string): { prompt: string } | { messages: readonly ChatMessage[] } {
    if (mode === 'continue') return { prompt: text }
    return { messages: [...this.#messages, { role: 'user', content: text }] }
  }

  remember(mode: Mode, text: string, answer: string): void {
    if (mode === 'continue' || answer.trim() === '') return
    this.#messages.push({ role: 'user', content: text }, { role: 'assistant', content: answer })
  }

  clear(): void {
    this.#messages.length = 0
  }
}
