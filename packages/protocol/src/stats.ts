import type { ErrorCode } from './error.ts'
import type { FinishReason } from './event.ts'
import type { OneShotStats } from './one-shot.ts'
import type { SleepLevel } from './sleep.ts'

/** What one loaded model is doing and has done since it was loaded. Counters only grow. */
export interface ModelStats {
  /** How deep the model sleeps; absent: it is awake. */
  readonly sleepLevel?: SleepLevel
  /** Requests' answers that hold a place in the KV cache. */
  readonly running: number
  /** Answers that wait for one. */
  readonly waiting: number
  /** Answers that can run at once: KV rows, where KV lies in rows. */
  readonly rows: number
  /** Share of the KV cache that running answers use, 0 to 1: of its positions where KV lies in rows, else of its blocks. */
  readonly kvUsage: number
  /** Where KV lies in blocks. */
  readonly blocks?: KvBlockStats
  /** Bytes that the KV cache holds now; it grows up to `ModelInfo.kvBytes`. */
  readonly kvBytes: number
  /** Forward passes, by kind. */
  readonly steps: Readonly<Record<StepKind, number>>
  /** Milliseconds in forward passes, copies of KV included. */
  readonly stepMs: number
  /** Milliseconds in deciding and booking them, in copies of KV before them, and in choosing tokens behind them. */
  readonly planMs: number
  readonly copyMs: number
  readonly sampleMs: number
  /** Forward passes by the number of answers in them. */
  readonly batches: Readonly<Record<number, BatchStats>>
  /** Tokens of each forward pass. */
  readonly stepTokens: Distribution
  /** When the last request was submitted, in milliseconds since the Unix epoch; 0 before there was one. */
  readonly lastRequestMs: number
  /** Tokens that went through the model, whatever became of them. */
  readonly computedTokens: number
  /** Prompt tokens asked for, and how many of them were found in the KV cache. */
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly generatedTokens: number
  readonly finished: Readonly<Record<FinishReason, number>>
  readonly failed: number
  /** Failed requests by the code of their error, and the milliseconds from their submit to it. */
  readonly failures: Readonly<Partial<Record<ErrorCode, number>>>
  readonly failedMs: number
  /** Of them those for whom the model gave nothing that is a number. */
  readonly corrupted: number
  /** Requests that were turned away with `queue_full`. */
  readonly refused: number
  /** Answers that were sent back to wait, for a better one or for want of KV. */
  readonly preemptions: number
  /** How often the GPU was lost under the model, and the milliseconds until another runner was there, all in all. */
  readonly losses: number
  readonly recoveryMs: number
  readonly speculation: SpeculationStats
  readonly requests: RequestDistributions
  /** Of a model that is asked once a request; what is about tokens and KV is 0 then. */
  readonly oneShot?: OneShotStats
}

/**
 * `decode`: one token of each running answer; `prefill`: prompt tokens; `mixed`: both; `verify`: as `decode`, with guesses at the
 * next tokens behind some.
 */
export type StepKind = 'decode' | 'prefill' | 'mixed' | 'verify'

/** All forward passes with one number of answers in them. Milliseconds of all of them together. */
export interface BatchStats {
  readonly count: number
  readonly inputMs: number
  readonly inferMs: number
  readonly outputMs: number
}

/** Blocks of the KV cache, each of 16 positions. */
export interface KvBlockStats {
  readonly total: number
  /** That running answers hold; what several share counts once. */
  readonly used: number
  /** That nobody holds and that a request which begins the same way would find. */
  readonly cached: number
  /** How often a part of a block was copied, for want of sharing. Only grows, as the next two. */
  readonly copied: number
  /** How often a block became findable, and how often one had to go for another. */
  readonly stored: number
  readonly evicted: number
}

/** How well the next tokens were guessed. Counters only grow. */
export interface SpeculationStats {
  readonly drafts: number
  readonly draftTokens: number
  readonly acceptedTokens: number
  /** How often the first, second, … token of a draft was accepted. */
  readonly acceptedAt: readonly number[]
}

/** How the requests of a model were spread: of those that ended with `finish`, whatever the reason. */
export interface RequestDistributions {
  /** From submit to the first forward pass. */
  readonly queueMs: Distribution
  /** From submit to the first token. */
  readonly firstTokenMs: Distribution
  /** From the first forward pass to the first token. */
  readonly prefillMs: Distribution
  /** From the first token to the last. */
  readonly decodeMs: Distribution
  /** From the first forward pass to the last token. */
  readonly inferenceMs: Distribution
  /** From submit to the last word. */
  readonly totalMs: Distribution
  /** Mean time of a token but the first, of requests with one answer. */
  readonly tokenMs: Distribution
  /** From each token of an answer to its next. Tokens of one step share its time. Of all answers, those that still run included. */
  readonly interTokenMs: Distribution
  readonly promptTokens: Distribution
  /** Of all answers of a request together. */
  readonly generatedTokens: Distribution
  /** Of its longest answer. */
  readonly mostGeneratedTokens: Distribution
  /** Prompt tokens that were not in the KV cache. */
  readonly prefillTokens: Distribution
  /** What requests ask for: `maxTokens`, of those that say it, and `n`. */
  readonly maxTokens: Distribution
  readonly n: Distribution
}

/** A histogram. Counters only grow. */
export interface Distribution {
  /** Largest value of each bucket, rising. */
  readonly bounds: readonly number[]
  /** Values in each bucket, and at last those that are larger than every bound. */
  readonly counts: readonly number[]
  readonly sum: number
  readonly count: number
}
