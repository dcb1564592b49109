import type { Run } from '@tabserve/engine'
import type { Batch } from '../decoder-io.ts'
import { layOut } from '../decoder-io.ts'
import type { DecoderForm } from './decoder-form.ts'

/** A batch as a foreign graph wants it. */
export interface ForeignBatch extends Batch {
  /** Valid positions before the step, one a row. */
  readonly froms: readonly number[]
  /** Columns of the past that are fed: of a cache that grows, those of the longest row. */
  readonly past: number
  /** Of how many tokens of each row the graph gives logits. */
  readonly logitsWidth: number
}

/** Throws plain `Error` where runs cannot go together: that is the scheduler's bug. */
export function foreignBatch(runs: readonly Run[], { numbers, logits }: DecoderForm): ForeignBatch {
  const batch = layOut({ runs })
  const { width, logitsPerRun } = batch
  const canKeepLast = numbers.some(({ role }) => role === 'logits-kept')
  // Tokens at the end of a row are the last ones of all rows only where nothing is padded behind them.
  const lastWanted =
    logitsPerRun.every((count) => count <= 1) && runs.every(({ tokens }) => tokens.length === width)
  return {
    ...batch,
    froms: runs.map(({ from }) => from),
    past: Math.max(...runs.map(({ from }) => from)),
    logitsWidth: logits.lastOnly || (canKeepLast && lastWanted) ? 1 : width,
  }
}
