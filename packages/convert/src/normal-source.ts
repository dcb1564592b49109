/** Normally distributed numbers from a seed, the same on every machine (mulberry32, then four uniform numbers summed). */
export class NormalSource {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  fill(target: Float32Array, deviation: number): Float32Array {
    // Sums of uniforms instead of Box–Muller: Math.log and Math.cos may differ in the last bit between engines, sums never do.
    const scale = deviation * Math.sqrt(3)
    let state = this.#state
    for (let i = 0; i < target.length; i++) {
      let sum = 0
      for (let uniform = 0; uniform < 4; uniform++) {
        state = (state + 0x6d2b79f5) | 0
        sum += mulberry(state)
      }
      target[i] = (sum - 2) * scale
    }
    this.#state = state
    return target
  }
}

/** [0, 1) */
function mulberry(state: number): number {
  let t = Math.imul(state ^ (state >>> 15), state | 1)
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296
}
