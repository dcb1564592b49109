import type { Capabilities } from '@tabserve/engine'
import type { DecoderGraph } from '@tabserve/protocol'

/** How much room a runner makes. */
export interface RunnerOptions {
  /** KV rows: sequences that can be in flight at once. */
  readonly rows: number
  /** Positions a row. */
  readonly contextLength: number
  /** Largest prompt chunk. */
  readonly maxTokensPerStep: number
}

/** What a decoder with GroupQueryAttention can be asked: prompts, or decode rows side by side, never both. */
export function capabilitiesOf({ vocabSize }: DecoderGraph, options: RunnerOptions): Capabilities {
  const { rows, contextLength, maxTokensPerStep } = options
  return {
    mixed: false,
    batchedPrefill: true,
    paged: undefined,
    maxRows: rows,
    maxContext: contextLength,
    maxTokensPerStep,
    vocabSize,
  }
}
