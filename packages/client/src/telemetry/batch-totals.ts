import type { ModelStats } from '@tabserve/protocol'

/** All forward passes of a model together; of one that is asked once a request what is done around them is its handler's. Milliseconds. */
export interface BatchTotals {
  /** Forward passes. */
  readonly passes: number
  /** Answers in them: one in ten passes counts ten times. */
  readonly rows: number
  readonly inputMs: number
  readonly inferMs: number
  readonly outputMs: number
}

export function batchTotals({ batches, oneShot }: Pick<ModelStats, 'batches' | 'oneShot'>): BatchTotals {
  const totals = { passes: 0, rows: 0, inputMs: 0, inferMs: 0, outputMs: 0 }
  for (const [size, { count, inputMs, inferMs, outputMs }] of Object.entries(batches)) {
    totals.passes += count
    totals.rows += Number(size) * count
    totals.inputMs += inputMs
    totals.inferMs += inferMs
    totals.outputMs += outputMs
  }
  if (oneShot === undefined) return totals
  // Also the runs of a handler of several passes and of a pipeline's models; of what rows are in them `batches` says what is known.
  const rows = Object.entries(oneShot.batches).reduce(
    (sum, [size, { count }]) => sum + Number(size) * count,
    0,
  )
  return {
    passes: oneShot.infer.count,
    rows,
    inputMs: oneShot.preprocess.ms,
    inferMs: oneShot.infer.ms,
    outputMs: oneShot.postprocess.ms,
  }
}
