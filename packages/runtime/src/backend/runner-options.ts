import type { Capabilities } from '@tabserve/engine'
import type { DecoderGraph, KvType } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** How much a runner is asked to hold. */
export interface RunnerOptions {
  /** Sequences in flight at once, at most. */
  readonly maxRunning: number
  /** Positions of one sequence. */
  readonly contextLength: number
  /** Largest prompt chunk. */
  readonly maxTokensPerStep: number
  /** Most bytes for KV. */
  readonly kvBudgetBytes: number
  readonly kvType: KvType
  /** Most bytes for the logits of one pass of the kernels; a step that wants more takes several. Default 64 MiB. */
  readonly logitsBytes?: number
}

/** How much room a runner makes whose KV lies in rows. */
export interface RowRoom {
  /** KV rows: sequences that can be in flight at once. */
  readonly rows: number
  /** Positions a row. */
  readonly contextLength: number
  /** Largest prompt chunk. */
  readonly maxTokensPerStep: number
}

/** As many rows as the budget holds. Throws `bad_request` where it holds none, or where KV is wanted as onnxruntime's graphs do not keep it. */
export function rowRoomOf(graph: DecoderGraph, options: RunnerOptions): RowRoom {
  const { maxRunning, contextLength, maxTokensPerStep, kvBudgetBytes, kvType } = options
  if (kvType !== 'float32') {
    const message = `kvType ${kvType} needs the kernels; onnxruntime runs this model and keeps KV as float32.`
    throw new EngineError('bad_request', message)
  }
  const bytes = rowBytes(graph, contextLength)
  const rows = Math.min(maxRunning, Math.floor(kvBudgetBytes / bytes))
  if (rows < 1) {
    const message = `kvBudgetBytes ${kvBudgetBytes} does not hold one row of ${contextLength} positions, which takes ${bytes} bytes. Raise it, or lower contextLength.`
    throw new EngineError('bad_request', message)
  }
  return { rows, contextLength, maxTokensPerStep }
}

/** Bytes of all rows when they are at their largest. */
export function maxRowBytes(graph: DecoderGraph, { rows, contextLength }: RowRoom): number {
  return rows * rowBytes(graph, contextLength)
}

/** KV of one row: keys and values of every layer, float32. */
function rowBytes({ layers, kvHeads, headDim }: DecoderGraph, contextLength: number): number {
  return 2 * layers * kvHeads * contextLength * headDim * 4
}

/** What a decoder with GroupQueryAttention can be asked: prompts, or decode rows side by side, never both. */
export function capabilitiesOf({ vocabSize }: DecoderGraph, options: RowRoom): Capabilities {
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
