/**
 * A seeded stream of random numbers: xoshiro128** (Blackman and Vigna, "Scrambled linear pseudorandom number generators",
 * 2021), its state filled by splitmix32. The same seed gives the same stream on every machine.
 */
export class Random {
  readonly #state = new Uint32Array(4)

  /** @param seed any safe integer; all 53 bits and the sign count. */
  constructor(seed: number) {
    const high = Math.floor(Math.abs(seed) / 2 ** 32) * 2 + (seed < 0 ? 1 : 0)
    const mix = splitmix32(splitmix32(seed >>> 0)() ^ Math.imul(high, 0x9e3779b1))
    for (let index = 0; index < 4; index++) this.#state[index] = mix()
    if (this.#state.every((word) => word === 0)) this.#state[0] = 1 // the one state that never moves
  }

  /** A number in [0, 1) with 32 random bits. */
  next(): number {
    const state = this.#state as unknown as [number, number, number, number] & Uint32Array
    const result = Math.imul(rotate(Math.imul(state[1], 5), 7), 9) >>> 0
    const shifted = state[1] << 9
    state[2] ^= state[0]
    state[3] ^= state[1]
    state[1] ^= state[2]
    state[0] ^= state[3]
    state[2] ^= shifted
    state[3] = rotate(state[3], 11)
    return result / 2 ** 32
  }
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits))
}

function splitmix32(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x9e3779b9) | 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
}
