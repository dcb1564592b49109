import type { ChoiceEnd, TokenLogprob, WireError } from '@tabserve/protocol'
import type { Sequence } from './sequence.ts'
import type { Emit } from './served.ts'

/** The answers to one request: passes on what each says, and speaks the last word once all have ended. */
export class Choices {
  readonly #emit: Emit
  readonly #ends: (ChoiceEnd | undefined)[]
  /** On the engine's clock. */
  readonly submittedMs: number
  /** What telemetry calls the request. */
  readonly id: string
  #startedMs: number | undefined
  #firstTokenMs: number | undefined
  #lastTokenMs: number | undefined
  #preemptions = 0
  #draftTokens = 0
  #acceptedTokens = 0
  #completionTokens = 0
  #over = false
  readonly promptTokens: number
  #cachedTokens: number | undefined
  /** One an answer. */
  readonly sequences: Sequence[] = []
  readonly promptLogprobs: TokenLogprob[] = []

  constructor(emit: Emit, id: string, count: number, promptTokens: number, submittedMs: number) {
    this.#emit = emit
    this.#ends = new Array<ChoiceEnd | undefined>(count).fill(undefined)
    this.promptTokens = promptTokens
    this.id = id
    this.submittedMs = submittedMs
  }

  get cachedTokens(): number {
    return this.#cachedTokens ?? 0
  }

  /** Whether the last word was said. */
  get over(): boolean {
    return this.#over
  }

  /** An answer has its row, with KV of this many tokens. Only the first time of the first answer counts: the rest is our doing. */
  cached(choice: number, numTokens: number): void {
    if (choice === 0) this.#cachedTokens ??= numTokens
  }

  /** Says whether it had not started before. */
  started(now: number): boolean {
    const isFirst = this.#startedMs === undefined
    this.#startedMs ??= now
    return isFirst
  }

  /** A token was drawn. Says whether it was the first one of all. */
  drew(now: number): boolean {
    const isFirst = this.#firstTokenMs === undefined
    this.#firstTokenMs ??= now
    this.#lastTokenMs = now
    return isFirst
  }

  /** An answer was sent back to wait. */
  preempted(): void {
    this.#preemptions++
  }

  drafted(numDrafted: number, numAccepted: number): void {
    this.#draftTokens += numDrafted
    this.#acceptedTokens += numAccepted
  }

  say(choice: number, text: string, tokens: readonly number[], logprobs: readonly TokenLogprob[]): void {
    this.#emit({ type: 'delta', choice, text, tokens, ...(logprobs.length > 0 ? { logprobs } : {}) })
  }

  end(choice: number, end: ChoiceEnd, numOutput: number, now: number): void {
    this.#ends[choice] = end
    this.#completionTokens += numOutput
    const choices = this.#ends.filter((end) => end !== undefined)
    if (this.#over || choices.length < this.#ends.length) return
    this.#over = true
    const since = (time: number | undefined) => (time === undefined ? undefined : time - this.submittedMs)
    this.#emit({
      type: 'finish',
      choices,
      usage: {
        promptTokens: this.promptTokens,
        cachedTokens: this.cachedTokens,
        completionTokens: this.#completionTokens,
      },
      timing: {
        queueMs: (this.#startedMs ?? now) - this.submittedMs,
        firstTokenMs: since(this.#firstTokenMs),
        totalMs: now - this.submittedMs,
      },
      work: {
        submittedMs: this.submittedMs,
        lastTokenMs: since(this.#lastTokenMs),
        preemptions: this.#preemptions,
        draftTokens: this.#draftTokens,
        acceptedTokens: this.#acceptedTokens,
      },
      ...(this.promptLogprobs.length > 0 ? { promptLogprobs: this.promptLogprobs } : {}),
    })
  }

  /** Says whether it was the last word. */
  fail(error: WireError): boolean {
    if (this.#over) return false
    this.#over = true
    this.#emit({ type: 'error', error })
    return true
  }
}
