import type { FinishEvent, RequestDistributions } from '@tabserve/protocol'
import type { Choices } from './choices.ts'
import { Histogram } from './histogram.ts'

/** vLLM's buckets, in milliseconds; shorter ones in front, which small models need. */
const FIRST_TOKEN_MS = [
  1, 5, 10, 20, 40, 60, 80, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10_000, 20_000, 40_000, 80_000,
  160_000, 640_000, 2_560_000,
]
const TOKEN_MS = [
  1, 2.5, 5, 10, 25, 50, 75, 100, 150, 200, 300, 400, 500, 750, 1000, 2500, 5000, 7500, 10_000, 20_000,
  40_000, 80_000,
]
const REQUEST_MS = [
  10, 20, 50, 100, 200, 300, 500, 800, 1000, 1500, 2000, 2500, 5000, 10_000, 15_000, 20_000, 30_000, 40_000,
  50_000, 60_000, 120_000, 240_000, 480_000, 960_000, 1_920_000, 7_680_000,
]
const TOKENS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000]
const COUNTS = [1, 2, 5, 10, 20]

/** What requests that ended with `finish` took, and each token; `RequestDistributions` says what each means. */
export class RequestHistograms {
  readonly #histograms = {
    queueMs: new Histogram(REQUEST_MS),
    firstTokenMs: new Histogram(FIRST_TOKEN_MS),
    prefillMs: new Histogram(REQUEST_MS),
    decodeMs: new Histogram(REQUEST_MS),
    inferenceMs: new Histogram(REQUEST_MS),
    totalMs: new Histogram(REQUEST_MS),
    tokenMs: new Histogram(TOKEN_MS),
    interTokenMs: new Histogram(TOKEN_MS),
    promptTokens: new Histogram(TOKENS),
    generatedTokens: new Histogram(TOKENS),
    mostGeneratedTokens: new Histogram(TOKENS),
    prefillTokens: new Histogram(TOKENS),
    maxTokens: new Histogram(TOKENS),
    n: new Histogram(COUNTS),
  }

  observe({ usage, timing, choices, work }: FinishEvent, { sequences }: Pick<Choices, 'sequences'>): void {
    const { queueMs, firstTokenMs, totalMs } = timing
    const to = this.#histograms
    to.queueMs.observe(queueMs)
    to.totalMs.observe(totalMs)
    to.promptTokens.observe(usage.promptTokens)
    to.prefillTokens.observe(usage.promptTokens - usage.cachedTokens)
    to.generatedTokens.observe(usage.completionTokens)
    to.mostGeneratedTokens.observe(Math.max(...sequences.map(({ numOutput }) => numOutput)))
    to.n.observe(choices.length)
    const maxTokens = sequences[0]?.maxOutput ?? Infinity
    if (maxTokens !== Infinity) to.maxTokens.observe(maxTokens)
    if (firstTokenMs === undefined) return
    const lastTokenMs = work?.lastTokenMs ?? firstTokenMs
    to.firstTokenMs.observe(firstTokenMs)
    to.prefillMs.observe(firstTokenMs - queueMs)
    to.decodeMs.observe(lastTokenMs - firstTokenMs)
    to.inferenceMs.observe(lastTokenMs - queueMs)
    // Of several answers at once there is no one time a token.
    if (choices.length === 1 && usage.completionTokens > 1)
      to.tokenMs.observe((lastTokenMs - firstTokenMs) / (usage.completionTokens - 1))
  }

  /** Tokens of one answer that came together, so long after the one before them. */
  observeTokens(count: number, gapMs: number): void {
    for (let index = 0; index < count; index++) this.#histograms.interTokenMs.observe(gapMs / count)
  }

  snapshot(): RequestDistributions {
    const histograms = Object.entries(this.#histograms)
    // As many as there are above, under the same names.
    return Object.fromEntries(
      histograms.map(([name, histogram]) => [name, histogram.snapshot()]),
    ) as unknown as RequestDistributions
  }
}
