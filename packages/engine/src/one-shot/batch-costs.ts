/** So many samples of a size are kept, and their least is believed: what else runs on the machine only makes a run longer. */
const SAMPLES = 6
/** A size is judged by so many samples at least: the first run of a shape is slow. */
const ENOUGH = 2
/** How often batches go before somebody is computed alone, to have something to compare with. */
const BATCHES_WITHOUT_MEASURE = 2
/** After so many runs without a row alone one is computed so again: what was measured while the machine did something else would let batches look cheap. */
const ALONE_FRESH = 12
/** After so many runs the next size that was slower is tried again, then after twice as many: machines and lengths change, noise passes. */
const RETRY_AFTER = 16
const MOST_BETWEEN_RETRIES = 256

/**
 * What rows of one kind have cost alone and together, and so how many had better go together. Batching loses where a graph is computed faster row by row;
 * then it is left.
 */
export class BatchCosts {
  readonly #kinds = new Map<string, Costs>()

  observe(kind: string, rows: number, ms: number): void {
    this.#of(kind).observe(rows, ms)
  }

  /** How many of so many rows that are there had better go together. */
  most(kind: string, available: number): number {
    return available <= 1 ? available : this.#of(kind).most(available)
  }

  #of(kind: string): Costs {
    const known = this.#kinds.get(kind)
    if (known !== undefined) return known
    const fresh = new Costs()
    this.#kinds.set(kind, fresh)
    return fresh
  }
}

/** Of one kind, by the power of 2 that a batch's rows reach. */
class Costs {
  readonly #msPerRow: number[][] = []
  #numBatches = 0
  #numRuns = 0
  /** The run that last was of one row. */
  #aloneAt = 0
  #retryAfter = RETRY_AFTER

  observe(rows: number, ms: number): void {
    const level = levelOf(rows)
    const samples = (this.#msPerRow[level] ??= [])
    if (++this.#numRuns > this.#retryAfter)
      this.#retryAfter = this.#numRuns + Math.min(this.#numRuns, MOST_BETWEEN_RETRIES)
    samples.push(ms / rows)
    if (samples.length > SAMPLES) samples.shift()
    if (level > 0) this.#numBatches++
    else this.#aloneAt = this.#numRuns
  }

  most(available: number): number {
    const alone = this.#cost(0)
    if (alone === undefined) return this.#numBatches >= BATCHES_WITHOUT_MEASURE ? 1 : available
    if (this.#numRuns - this.#aloneAt >= ALONE_FRESH) return 1
    const isRetry = this.#numRuns === this.#retryAfter
    for (let level = levelOf(available); level > 0; level--) {
      const cost = this.#cost(level)
      if (cost === undefined ? this.#mayTry(level) : cost <= this.#leastBelow(level))
        return Math.min(available, largestOf(isRetry ? level + 1 : level))
    }
    return isRetry ? Math.min(available, largestOf(1)) : 1
  }

  /** Two and three rows at once; more when half of them are known to pay: a size that loses is dear to try. */
  #mayTry(level: number): boolean {
    if (level === 1) return true
    const half = this.#cost(level - 1)
    return half !== undefined && half <= this.#leastBelow(level - 1)
  }

  #leastBelow(level: number): number {
    let least = Infinity
    for (let below = 0; below < level; below++) least = Math.min(least, this.#cost(below) ?? Infinity)
    return least
  }

  /** `undefined`: not known yet. */
  #cost(level: number): number | undefined {
    const samples = this.#msPerRow[level] ?? []
    return samples.length < ENOUGH ? undefined : Math.min(...samples)
  }
}

function largestOf(level: number): number {
  return 2 ** (level + 1) - 1
}

function levelOf(rows: number): number {
  return Math.floor(Math.log2(rows))
}
