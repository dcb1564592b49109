import type { ErrorCode, OneShotStats } from '@tabserve/protocol'

interface Sum {
  count: number
  ms: number
}

/** Counted where it happens; `OneShotStats` says what each means. */
export class OneShotCounters {
  readonly batches: Record<number, Sum> = {}
  readonly queue: Sum = { count: 0, ms: 0 }
  readonly preprocess: Sum = { count: 0, ms: 0 }
  readonly infer: Sum = { count: 0, ms: 0 }
  readonly postprocess: Sum = { count: 0, ms: 0 }
  readonly total: Sum = { count: 0, ms: 0 }
  readonly cacheHit: Sum = { count: 0, ms: 0 }
  readonly cacheMiss: Sum = { count: 0, ms: 0 }
  /** By code; `queue_full` is `refused`, `aborted` is `aborted`. */
  readonly failures: Partial<Record<ErrorCode, number>> = {}
  /** When the last request was submitted, in milliseconds since the Unix epoch. */
  lastRequestMs = 0
  succeeded = 0
  timedOut = 0
  rows = 0
  retriedAlone = 0
  failed = 0
  failedMs = 0
  refused = 0
  aborted = 0
  running = 0

  ran(rows: number, ms: number): void {
    add((this.batches[rows] ??= { count: 0, ms: 0 }), ms)
    add(this.infer, ms)
  }

  failedWith(code: ErrorCode, ms: number): void {
    if (code === 'queue_full') this.refused++
    else if (code === 'aborted') this.aborted++
    else {
      this.failed++
      this.failedMs += ms
      this.failures[code] = (this.failures[code] ?? 0) + 1
    }
  }

  /** Runs of the graph so far. */
  get numRuns(): number {
    return this.infer.count
  }

  snapshot(others: Pick<OneShotStats, 'cache' | 'sequences'>): OneShotStats {
    const { succeeded, timedOut, rows, retriedAlone } = this
    const batches = Object.fromEntries(Object.entries(this.batches).map(([size, sum]) => [size, { ...sum }]))
    return {
      succeeded,
      timedOut,
      rows,
      retriedAlone,
      batches,
      queue: { ...this.queue },
      preprocess: { ...this.preprocess },
      infer: { ...this.infer },
      postprocess: { ...this.postprocess },
      total: { ...this.total },
      cacheHit: { ...this.cacheHit },
      cacheMiss: { ...this.cacheMiss },
      ...others,
    }
  }
}

export function add(sum: Sum, ms: number): void {
  sum.count++
  sum.ms += ms
}
