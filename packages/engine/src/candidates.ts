/** Buckets of the nucleus search: a token's bucket is its distance from the best, in steps of 1/64 of a natural-log unit. */
const BUCKETS = 2048
const BUCKETS_PER_NAT = 64

/**
 * The tokens that may still be drawn, with their weights e^((logit − max) / temperature). Tokens stay in ascending order of
 * id, so that a draw depends on the distribution and not on how it was found. Buffers are kept from token to token.
 */
export class Candidates {
  #tokens = new Uint32Array(0)
  #weights = new Float32Array(0)
  #scratch = new Float32Array(0)
  readonly #mass = new Float64Array(BUCKETS)
  #count = 0

  /** Takes every token whose weight is at least `minP` (the best one weighs 1). NaN is never taken. */
  fill(logits: Float32Array, max: number, temperature: number, minP: number): void {
    if (this.#tokens.length < logits.length) {
      this.#tokens = new Uint32Array(logits.length)
      this.#weights = new Float32Array(logits.length)
      this.#scratch = new Float32Array(logits.length)
    }
    let count = 0
    for (let token = 0; token < logits.length; token++) {
      const weight = Math.fround(Math.exp((logits[token]! - max) / temperature))
      if (!(weight > 0 && weight >= minP)) continue
      this.#tokens[count] = token
      this.#weights[count++] = weight
    }
    this.#count = count
  }

  /** Keeps the `k` heaviest; of equal ones at the edge, those with the lowest ids. */
  keepTop(k: number): void {
    if (k >= this.#count) return
    const edge = this.#kthLargest(k)
    let above = 0
    for (let index = 0; index < this.#count; index++) if (this.#weights[index]! > edge) above++
    this.#keepFrom(edge, k - above)
  }

  /** Keeps the smallest set of heaviest tokens whose share of the weight reaches `p`. */
  keepNucleus(p: number): void {
    const mass = this.#mass.fill(0)
    let total = 0
    for (let index = 0; index < this.#count; index++) {
      const weight = this.#weights[index]!
      mass[bucketOf(weight)]! += weight
      total += weight
    }
    // Whole buckets from the heaviest down; then the one bucket where the share is reached, token by token.
    let wanted = p * total
    let bucket = 0
    while (bucket < BUCKETS - 1 && mass[bucket]! < wanted) wanted -= mass[bucket++]!
    let size = 0
    for (let index = 0; index < this.#count; index++) {
      const weight = this.#weights[index]!
      if (bucketOf(weight) === bucket) this.#scratch[size++] = weight
    }
    const descending = this.#scratch.subarray(0, size).sort().reverse()
    let taken = 0
    while (taken < size && wanted > 0) wanted -= descending[taken++]!
    const edge = descending[Math.max(0, taken - 1)]!
    let ties = 0
    for (let index = 0; index < taken; index++) if (descending[index] === edge) ties++
    this.#keepFrom(edge, ties)
  }

  /** The token at `share` of the weight, in order of id. @param share in [0, 1). */
  pick(share: number): number {
    let total = 0
    for (let index = 0; index < this.#count; index++) total += this.#weights[index]!
    let left = share * total
    for (let index = 0; index < this.#count; index++) {
      left -= this.#weights[index]!
      if (left < 0) return this.#tokens[index]!
    }
    return this.#tokens[this.#count - 1]! // rounding left a crumb
  }

  /** Keeps what is heavier than `edge`, and the first `ties` of what weighs the same. */
  #keepFrom(edge: number, ties: number): void {
    let kept = 0
    for (let index = 0; index < this.#count; index++) {
      const weight = this.#weights[index]!
      if (weight < edge || (weight === edge && ties-- <= 0)) continue
      this.#tokens[kept] = this.#tokens[index]!
      this.#weights[kept++] = weight
    }
    this.#count = kept
  }

  /** Quickselect (Hoare, 1961) on a copy, with the middle as pivot. */
  #kthLargest(k: number): number {
    const values = this.#scratch
    values.set(this.#weights.subarray(0, this.#count))
    let low = 0
    let high = this.#count - 1
    while (low < high) {
      const pivot = values[(low + high) >> 1]!
      let left = low
      let right = high
      while (left <= right) {
        while (values[left]! > pivot) left++
        while (values[right]! < pivot) right--
        if (left > right) break
        const swapped = values[left]!
        values[left++] = values[right]!
        values[right--] = swapped
      }
      if (k - 1 <= right) high = right
      else if (k - 1 >= left) low = left
      else break
    }
    return values[k - 1]!
  }
}

/** 0 holds the heaviest. Everything beyond the last bucket's edge shares that bucket, which is sorted like any other. */
function bucketOf(weight: number): number {
  return Math.min(BUCKETS - 1, Math.floor(-Math.log(weight) * BUCKETS_PER_NAT))
}
