import type { ModelStats } from '@tabserve/protocol'

/** All forward passes of a model together. Milliseconds. */
export interface BatchTotals {
  /** Forward passes. */
  readonly passes: number
  /** Answers in them: one in ten passes counts ten times. */
  readonly rows: number
  readonly inputMs: number
  readonly inferMs: number
  readonly outputMs: number
}

export function batchTotals({ batches }: Pick<ModelStats, 'batches'>): BatchTotals {
  const totals = { passes: 0, rows: 0, inputMs: 0, inferMs: 0, outputMs: 0 }
  for (const [size, { count, inputMs, inferMs, outputMs }] of Object.entries(batches)) {
    totals.passes += count
    totals.rows += Number(size) * count
    totals.inputMs += inputMs
    totals.inferMs += inferMs
    totals.outputMs += outputMs
  }
  return totals
}
