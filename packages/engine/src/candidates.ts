/** Buckets of the nucleus search: a token's bucket is its distance from the best, in steps of 1/64 of a natural-log unit. */
const BUCKETS = 2048
const BUCKETS_PER_NAT = 64
/** A token e^-40 times as likely as the best cannot be drawn: a draw has 53 random bits, and e^-40 < 2^-57. */
const LEAST_LOG_WEIGHT = -40

/**
 * The tokens that may still be drawn. Selection compares logits as they are, so ties are the logits' own; weights,
 * e^((logit − max) / temperature), are computed for what is left. Tokens stay in ascending order of id, so that a draw
 * depends on the distribution and not on how it was found. Buffers are kept from token to token.
 */
export class Candidates {
  #tokens = new Uint32Array(0)
  #logits = new Float32Array(0)
  #weights = new Float32Array(0)
  #scratch = new Float32Array(0)
  readonly #mass = new Float64Array(BUCKETS)
  #count = 0
  #max = 0
  #temperature = 1

  /**
   * Takes every token at least `minP` times as likely as the best one, whose logit is `max`. NaN is never taken.
   * @param tokens whose logits they are, ascending, where they are not all.
   */
  fill(logits: Float32Array, max: number, temperature: number, minP: number, tokens?: Int32Array): void {
    if (this.#tokens.length < logits.length) {
      this.#tokens = new Uint32Array(logits.length)
      this.#logits = new Float32Array(logits.length)
      this.#weights = new Float32Array(logits.length)
      this.#scratch = new Float32Array(logits.length)
    }
    this.#max = max
    this.#temperature = temperature
    const least = max + temperature * Math.max(LEAST_LOG_WEIGHT, Math.log(minP))
    let count = 0
    for (let token = 0; token < logits.length; token++) {
      const logit = logits[token]!
      if (!(logit >= least)) continue
      this.#tokens[count] = token
      this.#logits[count++] = logit
    }
    this.#count = count
    if (tokens === undefined) return
    for (let index = 0; index < count; index++) this.#tokens[index] = tokens[this.#tokens[index]!]!
  }

  /** Keeps the `k` likeliest; of equal ones at the edge, those with the lowest ids. */
  keepTop(k: number): void {
    if (k >= this.#count) return
    const edge = this.#kthLargest(k)
    let above = 0
    for (let index = 0; index < this.#count; index++) if (this.#logits[index]! > edge) above++
    this.#keepFrom(edge, k - above)
  }

  /** Computes the weights of what is left; `keepNucleus` and `pick` use them. */
  weigh(): void {
    for (let index = 0; index < this.#count; index++) {
      this.#weights[index] = Math.exp((this.#logits[index]! - this.#max) / this.#temperature)
    }
  }

  /** Keeps the smallest set of likeliest tokens whose share of the weight reaches `p`. */
  keepNucleus(p: number): void {
    const mass = this.#mass.fill(0)
    let total = 0
    for (let index = 0; index < this.#count; index++) {
      const weight = this.#weights[index]!
      mass[this.#bucketOf(index)]! += weight
      total += weight
    }
    // Whole buckets from the likeliest down; then the one bucket where the share is reached, token by token.
    let wanted = p * total
    let bucket = 0
    while (bucket < BUCKETS - 1 && mass[bucket]! < wanted) wanted -= mass[bucket++]!
    let size = 0
    for (let index = 0; index < this.#count; index++) {
      if (this.#bucketOf(index) === bucket) this.#scratch[size++] = this.#logits[index]!
    }
    const ascending = this.#scratch.subarray(0, size).sort()
    let taken = 0
    let ties = 0
    let edge = Infinity
    while (taken < size && (wanted > 0 || taken === 0)) {
      const logit = ascending[size - 1 - taken++]!
      ties = logit === edge ? ties + 1 : 1
      edge = logit
      wanted -= Math.fround(Math.exp((logit - this.#max) / this.#temperature))
    }
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

  /** Keeps what is likelier than `edge`, and the first `ties` of what is as likely. */
  #keepFrom(edge: number, ties: number): void {
    let kept = 0
    for (let index = 0; index < this.#count; index++) {
      const logit = this.#logits[index]!
      if (logit < edge || (logit === edge && ties-- <= 0)) continue
      this.#tokens[kept] = this.#tokens[index]!
      this.#weights[kept] = this.#weights[index]!
      this.#logits[kept++] = logit
    }
    this.#count = kept
  }

  /** 0 holds the likeliest. Everything beyond the last bucket's edge shares that bucket, which is sorted like any other. */
  #bucketOf(index: number): number {
    const distance = ((this.#max - this.#logits[index]!) * BUCKETS_PER_NAT) / this.#temperature
    return distance < BUCKETS - 1 ? distance | 0 : BUCKETS - 1
  }

  /** Quickselect (Hoare, 1961) on a copy, with the middle as pivot. */
  #kthLargest(k: number): number {
    const values = this.#scratch
    values.set(this.#logits.subarray(0, this.#count))
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
