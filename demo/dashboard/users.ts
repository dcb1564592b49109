import type { Client } from 'tabserve'
import { EngineError } from 'tabserve'
import { opening } from '../crowd/openings.ts'

const MAX_TOKENS = 48
/** Most milliseconds that a user thinks before the next request. */
const THINKING_MS = 400
/** Rounds of one conversation: each goes on with what was said, which the KV cache should know. */
const ROUNDS = 3

/** People who ask, read, think and ask again, until they are sent home. */
export class Users {
  readonly #client: Client
  readonly #model: string
  readonly #onError: (error: unknown) => void
  readonly #aborts: AbortController[] = []
  #numBefore = 0

  /** @param model an alias: it may stand for another version with every request. */
  constructor(client: Client, model: string, onError: (error: unknown) => void) {
    this.#client = client
    this.#model = model
    this.#onError = onError
  }

  get count(): number {
    return this.#aborts.length
  }

  set count(wanted: number) {
    while (this.#aborts.length > wanted) this.#aborts.pop()?.abort()
    while (this.#aborts.length < wanted) {
      const abort = new AbortController()
      this.#aborts.push(abort)
      void this.#live(this.#numBefore++, abort.signal)
    }
  }

  async #live(user: number, signal: AbortSignal): Promise<void> {
    for (let story = user; !signal.aborted; story += 64) {
      let prompt = opening(story)
      for (let round = 0; round < ROUNDS && !signal.aborted; round++) {
        prompt += await this.#ask(prompt, `user-${user}`, signal)
        await new Promise((resolve) => setTimeout(resolve, Math.random() * THINKING_MS))
      }
    }
  }

  async #ask(prompt: string, stickyKey: string, signal: AbortSignal): Promise<string> {
    try {
      const request = { model: this.#model, prompt, maxTokens: MAX_TOKENS, temperature: 0.8 }
      const { text } = await this.#client.generate({ ...request, stickyKey, signal })
      return text
    } catch (error) {
      // A full queue is what the page shows; the user asks again later.
      if (!(error instanceof EngineError)) this.#onError(error)
      return ''
    }
  }
}
