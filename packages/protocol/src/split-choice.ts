/** The cores shared out: so many workers of one model, each with so many threads. */
export interface Split {
  readonly replicas: number
  readonly threads: number
}

/** One split in the comparison. */
export interface SplitReport extends Split {
  /** Tokens that all replicas generate together while every one answers as many requests as it takes at once. Absent: `problem` says why. */
  readonly tokensPerSecond?: number
  readonly problem?: string
}

/** How `replicas: 'auto'` has shared the cores out, and why. */
export interface SplitChoice extends Split {
  /** One sentence for people. */
  readonly reason: string
  /** `facts`: the machine, or memory, has left no choice. `measured`: now. `kept`: measured by an earlier load. */
  readonly by: 'facts' | 'measured' | 'kept'
  readonly candidates: readonly SplitReport[]
}
