import type { FinishEvent, RequestDistributions } from '@tabserve/protocol'
import { Histogram } from './histogram.ts'

/** vLLM's buckets, in milliseconds; shorter ones in front, which small models need. */
const FIRST_TOKEN_MS = [
  1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000, 20_000, 40_000, 80_000,
]
const TOKEN_MS = [
  1, 2.5, 5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000, 2500, 5000, 7500, 10_000, 20_000,
]
const REQUEST_MS = [
  10, 20, 50, 100, 200, 300, 500, 800, 1000, 1500, 2000, 2500, 5000, 10_000, 15_000, 20_000, 30_000, 40_000,
  50_000, 60_000, 120_000, 240_000, 480_000, 960_000,
]
const TOKENS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000]

/** What requests that ended with `finish` took; `RequestDistributions` says what each means. */
export class RequestHistograms {
  readonly #queueMs = new Histogram(REQUEST_MS)
  readonly #firstTokenMs = new Histogram(FIRST_TOKEN_MS)
  readonly #prefillMs = new Histogram(REQUEST_MS)
  readonly #decodeMs = new Histogram(REQUEST_MS)
  readonly #totalMs = new Histogram(REQUEST_MS)
  readonly #tokenMs = new Histogram(TOKEN_MS)
  readonly #promptTokens = new Histogram(TOKENS)
  readonly #generatedTokens = new Histogram(TOKENS)

  observe({ usage, timing, choices }: FinishEvent): void {
    const { queueMs, firstTokenMs, totalMs } = timing
    this.#queueMs.observe(queueMs)
    this.#totalMs.observe(totalMs)
    this.#promptTokens.observe(usage.promptTokens)
    this.#generatedTokens.observe(usage.completionTokens)
    if (firstTokenMs === undefined) return
    this.#firstTokenMs.observe(firstTokenMs)
    this.#prefillMs.observe(firstTokenMs - queueMs)
    this.#decodeMs.observe(totalMs - firstTokenMs)
    // Of several answers at once there is no one time a token.
    if (choices.length === 1 && usage.completionTokens > 1)
      this.#tokenMs.observe((totalMs - firstTokenMs) / (usage.completionTokens - 1))
  }

  snapshot(): RequestDistributions {
    return {
      queueMs: this.#queueMs.snapshot(),
      firstTokenMs: this.#firstTokenMs.snapshot(),
      prefillMs: this.#prefillMs.snapshot(),
      decodeMs: this.#decodeMs.snapshot(),
      totalMs: this.#totalMs.snapshot(),
      tokenMs: this.#tokenMs.snapshot(),
      promptTokens: this.#promptTokens.snapshot(),
      generatedTokens: this.#generatedTokens.snapshot(),
    }
  }
}
