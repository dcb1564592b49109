import type { Distribution } from '@tabserve/protocol'

/** Counts values by size. */
export class Histogram {
  readonly #bounds: readonly number[]
  readonly #counts: number[]
  #sum = 0

  /** @param bounds largest value of each bucket, rising; one more bucket takes what is larger. */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds
    this.#counts = new Array<number>(bounds.length + 1).fill(0)
  }

  observe(value: number): void {
    const found = this.#bounds.findIndex((bound) => value <= bound)
    const bucket = found < 0 ? this.#bounds.length : found
    this.#counts[bucket] = (this.#counts[bucket] ?? 0) + 1
    this.#sum += value
  }

  snapshot(): Distribution {
    const counts = [...this.#counts]
    return {
      bounds: this.#bounds,
      counts,
      sum: this.#sum,
      count: counts.reduce((sum, count) => sum + count, 0),
    }
  }
}
