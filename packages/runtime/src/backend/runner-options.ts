/** How much room a runner makes. */
export interface RunnerOptions {
  /** KV rows: sequences that can be in flight at once. */
  readonly rows: number
  /** Positions a row. */
  readonly contextLength: number
  /** Largest prompt chunk. */
  readonly maxTokensPerStep: number
}
