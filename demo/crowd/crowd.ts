import type { Client } from 'tabserve'
import { Card } from './card.ts'
import { opening } from './openings.ts'

const MAX_TOKENS = 120

/** What a whole crowd came to. */
export interface Outcome {
  readonly numTokens: number
  readonly numDone: number
  readonly ms: number
}

/** Many requests, all sent at once, each with its card. */
export class Crowd {
  readonly #cards: readonly Card[]
  readonly #abort = new AbortController()
  readonly #startedMs = performance.now()
  readonly #arrivals: { readonly ms: number; readonly numTokens: number }[] = []
  #numTokens = 0
  #numDone = 0

  constructor(list: HTMLElement, size: number) {
    this.#cards = Array.from({ length: size }, (_, index) => new Card(opening(index)))
    list.replaceChildren(...this.#cards.map(({ element }) => element))
  }

  get ms(): number {
    return performance.now() - this.#startedMs
  }

  get numTokens(): number {
    return this.#numTokens
  }

  get numDone(): number {
    return this.#numDone
  }

  /** Tokens of the last second; while less than that has passed, of the time so far. */
  get tokensPerSecond(): number {
    const now = performance.now()
    while ((this.#arrivals[0]?.ms ?? now) < now - 1000) this.#arrivals.shift()
    const numTokens = this.#arrivals.reduce((sum, arrival) => sum + arrival.numTokens, 0)
    return (1000 * numTokens) / Math.min(1000, this.ms)
  }

  /** Times to the first token, shortest first. */
  get firstTokenMs(): readonly number[] {
    return this.#cards.flatMap(({ firstTokenMs }) => firstTokenMs ?? []).sort((a, b) => a - b)
  }

  stop(): void {
    this.#abort.abort()
  }

  paint(): void {
    for (const card of this.#cards) card.paint()
  }

  /** Resolves when all have ended; throws what the first one failed with. `undefined` when it was stopped. */
  async run(client: Client, model: string): Promise<Outcome | undefined> {
    const failures: unknown[] = []
    await Promise.all(
      this.#cards.map((card, index) =>
        this.#ask(client, model, card, index).catch((error: unknown) => {
          card.end('failed')
          failures.push(error)
        }),
      ),
    )
    if (failures.length > 0) throw failures[0]
    if (this.#abort.signal.aborted) return undefined
    return { numTokens: this.#numTokens, numDone: this.#numDone, ms: this.ms }
  }

  async #ask(client: Client, model: string, card: Card, index: number): Promise<void> {
    const { signal } = this.#abort
    const request = {
      model,
      prompt: opening(index),
      maxTokens: MAX_TOKENS,
      temperature: 0.8,
      seed: index,
      signal,
    }
    const stream = client.generate(request)
    for await (const { text, tokens } of stream) {
      card.take(text, tokens.length)
      this.#numTokens += tokens.length
      this.#arrivals.push({ ms: performance.now(), numTokens: tokens.length })
    }
    const { finishReason } = await stream
    card.end(finishReason === 'abort' ? 'stopped' : 'done')
    if (finishReason !== 'abort') this.#numDone++
  }
}
