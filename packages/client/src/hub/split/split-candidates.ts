import type { Split } from '@tabserve/protocol'
import { threadsPerReplica } from '../threads.ts'

export interface Machine {
  readonly cores: number
  readonly crossOriginIsolated: boolean
  /** Of each worker, where the page has said so. */
  readonly threads: number | undefined
}

/**
 * The ways to share cores out, fewest replicas first. All take about as many cores as one worker alone would, but at least two: so they differ in how
 * they share, not in what they leave to the page.
 */
export function splitCandidates({ cores, crossOriginIsolated, threads }: Machine): readonly Split[] {
  const given = crossOriginIsolated ? threads : 1
  const total = Math.min(cores, Math.max(2, threadsPerReplica(cores, 1), given ?? 0))
  const counts = [1, 2, 4].filter((replicas) => replicas <= Math.max(1, Math.floor(total / (given ?? 1))))
  return counts.map((replicas) => ({ replicas, threads: given ?? Math.floor(total / replicas) }))
}
