import { runningMean } from './running-mean.ts'

/** Below this many tokens a chunk costs hardly less: the weights are read once whatever it holds. */
const SMALLEST_CHUNK = 16
/** What each new chunk leaves of the older ones' weight. */
const REMEMBERED = 0.8

/**
 * How decode steps and prompt chunks take turns. Every decode step grants the prompts a quota of tokens, so that neither
 * starves the other; the quota is what fits between two tokens of a running answer without a gap above the target, by the
 * costs measured so far.
 */
export class Pace {
  readonly #targetGapMs: number
  readonly #maxTokens: number
  #decodeMs: number | undefined
  /** Of the last prompt chunks together, older ones counting less: long chunks tell more than short ones. */
  #prefillMs = 0
  #prefillTokens = 0
  #quota: number

  constructor(targetGapMs: number, maxTokensPerStep: number) {
    this.#targetGapMs = targetGapMs
    this.#maxTokens = maxTokensPerStep
    this.#quota = maxTokensPerStep
  }

  /** Prompt tokens of the next step, of `numPending`, while answers are running; 0: it is their turn. */
  chunk(numPending: number): number {
    return this.#quota < Math.min(numPending, SMALLEST_CHUNK) ? 0 : Math.min(this.#quota, numPending)
  }

  /** Prompt tokens that may go before the next decode step. */
  get quota(): number {
    return this.#quota
  }

  decoded(ms: number): void {
    this.#decodeMs = runningMean(this.#decodeMs, ms)
    this.#quota = this.#fits()
  }

  prefilled(numTokens: number, ms: number): void {
    // A short chunk costs as much as the smallest one: counted by its tokens it would make prompts look dear.
    this.#prefillMs = REMEMBERED * this.#prefillMs + ms
    this.#prefillTokens = REMEMBERED * this.#prefillTokens + Math.max(numTokens, SMALLEST_CHUNK)
    this.#quota = Math.max(0, this.#quota - numTokens)
  }

  /** A step of prompt tokens beside answers: what it cost above a step of answers alone was for the prompts. */
  mixed(numTokens: number, ms: number): void {
    this.#prefillMs = REMEMBERED * this.#prefillMs + Math.max(0, ms - (this.#decodeMs ?? 0))
    this.#prefillTokens = REMEMBERED * this.#prefillTokens + numTokens
    this.#quota = this.#fits()
  }

  #fits(): number {
    if (this.#decodeMs === undefined || this.#prefillMs === 0) return this.#maxTokens
    const tokens = Math.floor(((this.#targetGapMs - this.#decodeMs) * this.#prefillTokens) / this.#prefillMs)
    return Math.min(this.#maxTokens, Math.max(SMALLEST_CHUNK, tokens))
  }
}
