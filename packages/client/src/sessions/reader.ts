import type { TokenizeRequest } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Transcript } from './transcript.ts'
import { messagesOf, toTokenize } from './transcript.ts'

/** A text and how the model reads it. */
export interface Read {
  readonly transcript: Transcript
  readonly tokens: readonly number[]
}

/** What stays the same for a session's life. */
export interface SessionSetting {
  /** `name@version`. */
  readonly model: string
  /** Tokens that fit. */
  readonly contextLength: number
  readonly contextOverflow: 'error' | 'truncate-start'
  readonly onContextOverflow: () => void
}

/** Reads what a session is to read, as far as it fits. */
export class Reader {
  readonly #setting: SessionSetting
  readonly #ask: (request: TokenizeRequest) => Promise<readonly number[]>

  constructor(setting: SessionSetting, tokenize: (request: TokenizeRequest) => Promise<readonly number[]>) {
    this.#setting = setting
    this.#ask = tokenize
  }

  async tokenize(transcript: Transcript): Promise<readonly number[]> {
    const request = toTokenize(transcript, this.#setting.model)
    return request === undefined ? [] : this.#ask(request)
  }

  /** Throws `context_overflow`; a conversation may lose its oldest messages instead. @param numNew messages that must stay. */
  async fitted(transcript: Transcript, numNew: number): Promise<Read> {
    const { contextLength, contextOverflow, onContextOverflow } = this.#setting
    for (let kept = transcript; ;) {
      const tokens = await this.tokenize(kept)
      if (tokens.length < contextLength) {
        if (kept !== transcript) onContextOverflow()
        return { transcript: kept, tokens }
      }
      const messages = messagesOf(kept)
      const oldest = messages.findIndex(({ role }) => role !== 'system')
      if (contextOverflow === 'error' || oldest < 0 || oldest >= messages.length - numNew) {
        const message = `The session would have ${tokens.length} tokens, and the model's context has ${contextLength}.`
        throw new EngineError('context_overflow', `${message} Say less, or open another session.`)
      }
      kept = { kind: 'chat', messages: messages.toSpliced(oldest, 1) }
    }
  }
}
