/** Normally distributed numbers from a seed, the same on every machine (mulberry32, then four uniform numbers summed). */
export class NormalSource {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  fill(target: Float32Array, deviation: number): Float32Array {
    // Sums of uniforms instead of Box–Muller: Math.log and Math.cos may differ in the last bit between engines, sums never do.
    const scale = deviation * Math.sqrt(3)
    for (let i = 0; i < target.length; i++) {
      target[i] = (this.#uniform() + this.#uniform() + this.#uniform() + this.#uniform() - 2) * scale
    }
    return target
  }

  /** [0, 1) */
  #uniform(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}
