import type { SplitReport } from '@tabserve/protocol'

const PREFIX = 'tabserve-split '

/** What was measured of one model on one machine. */
export interface KeptSplits {
  /** Bytes of each replica. */
  readonly replicaBytes: number
  readonly candidates: readonly SplitReport[]
}

/** Measurements by model and machine, so that one load in a lifetime pays for them. Where nothing can be kept the next load measures again. */
export class KeptVerdicts {
  readonly #storage: () => Storage

  /** @param storage throws where the page may not keep anything. */
  constructor(storage: () => Storage) {
    this.#storage = storage
  }

  find(key: string): KeptSplits | undefined {
    try {
      const value: unknown = JSON.parse(this.#storage().getItem(PREFIX + key) ?? 'null')
      return isWhole(value) ? value : undefined
    } catch {
      return undefined // then it is measured again
    }
  }

  keep(key: string, splits: KeptSplits): void {
    try {
      this.#storage().setItem(PREFIX + key, JSON.stringify(splits))
    } catch {
      // The next load measures again.
    }
  }
}

function isWhole(value: unknown): value is KeptSplits {
  if (typeof value !== 'object' || value === null) return false
  const { replicaBytes, candidates } = value as Partial<KeptSplits>
  if (typeof replicaBytes !== 'number' || !Array.isArray(candidates) || candidates.length === 0) return false
  return candidates.every((each: Partial<SplitReport> | null) =>
    [each?.replicas, each?.threads, each?.tokensPerSecond].every((count) => typeof count === 'number'),
  )
}
