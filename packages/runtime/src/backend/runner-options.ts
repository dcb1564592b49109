import type { Capabilities } from '@tabserve/engine'
import type { KvType } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { KvHeads } from './kv-layout.ts'
import { KV_BYTES } from './kv-layout.ts'

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
  /** `undefined`: as suits who runs it. */
  readonly kvType: KvType | undefined
  /** Most bytes for the logits of one pass of the kernels; a step that wants more takes several. Default 64 MiB. */
  readonly logitsBytes?: number
}

type KvDtype = keyof typeof KV_BYTES

interface KvGeometry extends KvHeads {
  readonly layers: number
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

/**
 * As many rows as the budget holds. Throws `bad_request` where it holds none, or where KV is wanted as the graph does not keep it; `float32` is
 * had by everybody who asks for it, as nothing is more exact.
 */
export function rowRoomOf(graph: KvGeometry, options: RunnerOptions, dtype: KvDtype = 'float32'): RowRoom {
  const { maxRunning, contextLength, maxTokensPerStep, kvBudgetBytes, kvType } = options
  if (kvType !== undefined && kvType !== 'float32' && kvType !== dtype) {
    const message = `kvType ${kvType} needs the kernels; onnxruntime runs this model and keeps KV as ${dtype}.`
    throw new EngineError('bad_request', message)
  }
  const bytes = rowBytes(graph, contextLength, dtype)
  const rows = Math.min(maxRunning, Math.floor(kvBudgetBytes / bytes))
  if (rows < 1) {
    const message = `kvBudgetBytes ${kvBudgetBytes} does not hold one row of ${contextLength} positions, which takes ${bytes} bytes. Raise it, or lower contextLength.`
    throw new EngineError('bad_request', message)
  }
  return { rows, contextLength, maxTokensPerStep }
}

/** Bytes of all rows when they are at their largest. */
export function maxRowBytes(
  graph: KvGeometry,
  { rows, contextLength }: RowRoom,
  dtype: KvDtype = 'float32',
): number {
  return rows * rowBytes(graph, contextLength, dtype)
}

/** KV of one row: keys and values of every layer. */
export function rowBytes(
  { layers, kvHeads, headDim }: KvGeometry,
  contextLength: number,
  dtype: KvDtype = 'float32',
): number {
  return 2 * layers * kvHeads * contextLength * headDim * KV_BYTES[dtype]
}

/** What a decoder with GroupQueryAttention can be asked: prompts, or decode rows side by side, never both. */
export function capabilitiesOf(
  { vocabSize }: { readonly vocabSize: number },
  options: RowRoom,
): Capabilities {
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
