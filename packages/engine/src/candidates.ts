import { FARTHEST, NUM_STEPS, stepOf, weightOf } from './weight.ts'

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
  /** Weight by distance from the best, in steps: where the nucleus ends is looked for here. */
  readonly #mass = new Float64Array(NUM_STEPS)
  #count = 0
  /** Of the weights, once there are any. */
  #total = 0
  #max = 0
  #temperature = 1

  /**
   * Takes every token at least `minP` times as likely as the best one, whose logit is `max`. NaN is never taken.
   * @param ids whose logits they are, ascending, where they are not all.
   */
  fill(logits: Float32Array, max: number, temperature: number, minP: number, ids?: Int32Array): void {
    if (this.#tokens.length < logits.length) {
      this.#tokens = new Uint32Array(logits.length)
      this.#logits = new Float32Array(logits.length)
      this.#weights = new Float32Array(logits.length)
      this.#scratch = new Float32Array(logits.length)
    }
    this.#max = max
    this.#temperature = temperature
    const least = max + temperature * Math.max(-FARTHEST, Math.log(minP))
    const tokens = this.#tokens
    const taken = this.#logits
    let count = 0
    for (let token = 0; token < logits.length; token++) {
      const logit = logits[token]!
      if (!(logit >= least)) continue
      tokens[count] = token
      taken[count++] = logit
    }
    this.#count = count
    if (ids === undefined) return
    for (let index = 0; index < count; index++) tokens[index] = ids[tokens[index]!]!
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
    const count = this.#count
    const logits = this.#logits
    const weights = this.#weights
    const max = this.#max
    const temperature = this.#temperature
    let total = 0
    for (let index = 0; index < count; index++) {
      const weight = weightOf((max - logits[index]!) / temperature)
      weights[index] = weight
      total += weight
    }
    this.#total = total
  }

  /** Keeps the smallest set of likeliest tokens whose share of the weight reaches `p`. */
  keepNucleus(p: number): void {
    // What all together has less than the share that is to go, goes: then there is little left to look at.
    this.#dropLighter(((1 - p) * this.#total) / this.#count)
    const mass = this.#massOfSteps()
    // Whole steps from the likeliest down; then the one step where the share is reached, token by token.
    let wanted = p * this.#total
    let step = 0
    while (step < NUM_STEPS - 1 && mass[step]! < wanted) wanted -= mass[step++]!
    const size = this.#keepSteps(step)
    if (size === 0) return // sums in another order round differently: the share is reached nowhere, and all stay
    const ascending = this.#scratch.subarray(0, size).sort()
    let taken = 0
    let ties = 0
    let edge = Infinity
    while (taken < size && (wanted > 0 || taken === 0)) {
      const logit = ascending[size - 1 - taken++]!
      ties = logit === edge ? ties + 1 : 1
      edge = logit
      wanted -= weightOf((this.#max - logit) / this.#temperature)
    }
    this.#keepFrom(edge, ties)
  }

  /** The token at `share` of the weight, in order of id. @param share in [0, 1). */
  pick(share: number): number {
    let left = share * this.#total
    for (let index = 0; index < this.#count; index++) {
      left -= this.#weights[index]!
      if (left < 0) return this.#tokens[index]!
    }
    return this.#tokens[this.#count - 1]! // rounding left a crumb
  }

  /** Leaves `#total` as it is. */
  #dropLighter(least: number): void {
    const count = this.#count
    const tokens = this.#tokens
    const logits = this.#logits
    const weights = this.#weights
    let kept = 0
    for (let index = 0; index < count; index++) {
      const weight = weights[index]!
      if (weight < least) continue
      tokens[kept] = tokens[index]!
      logits[kept] = logits[index]!
      weights[kept++] = weight
    }
    this.#count = kept
  }

  #massOfSteps(): Float64Array {
    const mass = this.#mass.fill(0)
    for (let index = 0; index < this.#count; index++) mass[this.#stepOf(index)]! += this.#weights[index]!
    return mass
  }

  /** Keeps the steps up to `last`. The logits of that one are then in `#scratch`: how many. */
  #keepSteps(last: number): number {
    let size = 0
    let kept = 0
    for (let index = 0; index < this.#count; index++) {
      const step = this.#stepOf(index)
      if (step > last) continue
      if (step === last) this.#scratch[size++] = this.#logits[index]!
      this.#tokens[kept] = this.#tokens[index]!
      this.#weights[kept] = this.#weights[index]!
      this.#logits[kept++] = this.#logits[index]!
    }
    this.#count = kept
    return size
  }

  #stepOf(index: number): number {
    return stepOf((this.#max - this.#logits[index]!) / this.#temperature)
  }

  /** Keeps what is likelier than `edge`, and the first `ties` of what is as likely. */
  #keepFrom(edge: number, ties: number): void {
    let kept = 0
    let total = 0
    for (let index = 0; index < this.#count; index++) {
      const logit = this.#logits[index]!
      if (logit < edge || (logit === edge && ties-- <= 0)) continue
      const weight = this.#weights[index]!
      total += weight
      this.#tokens[kept] = this.#tokens[index]!
      this.#weights[kept] = weight
      this.#logits[kept++] = logit
    }
    this.#count = kept
    this.#total = total
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
