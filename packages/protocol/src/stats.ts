import type { FinishReason } from './event.ts'

/** What one loaded model is doing and has done since it was loaded. Counters only grow. */
export interface ModelStats {
  /** Requests' answers that hold a KV row. */
  readonly running: number
  /** Answers that wait for one. */
  readonly waiting: number
  /** KV rows there are. */
  readonly rows: number
  /** Share of the KV positions that running answers use, 0 to 1. */
  readonly kvUsage: number
  /** Bytes that the KV cache holds now; it grows up to `ModelInfo.kvBytes`. */
  readonly kvBytes: number
  /** Forward passes, by kind. */
  readonly steps: Readonly<Record<StepKind, number>>
  /** Milliseconds in forward passes, and in deciding and booking them. */
  readonly stepMs: number
  readonly planMs: number
  /** Tokens that went through the model, whatever became of them. */
  readonly computedTokens: number
  /** Prompt tokens asked for, and how many of them were found in the KV cache. */
  readonly promptTokens: number
  readonly cachedTokens: number
  readonly generatedTokens: number
  readonly finished: Readonly<Record<FinishReason, number>>
  readonly failed: number
  /** Requests that were turned away with `queue_full`. */
  readonly refused: number
  readonly preemptions: number
  readonly speculation: SpeculationStats
}

/** `decode`: one token of each running answer; `prefill`: prompt tokens; `verify`: one token and a guess at the next ones. */
export type StepKind = 'decode' | 'prefill' | 'verify'

export interface SpeculationStats {
  readonly drafts: number
  readonly draftTokens: number
  readonly acceptedTokens: number
  /** How often the first, second, … token of a draft was accepted. */
  readonly acceptedAt: readonly number[]
}
