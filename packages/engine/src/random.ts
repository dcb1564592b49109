/**
 * A request's own stream of random numbers: the same seed gives the same stream on every machine.
 *
 * sfc32, "small fast counting", by Chris Doty-Humphrey (PractRand 0.94, src/RNGs/sfc.cpp), with the author's own seeding
 * from 64 bits: 128 bits of state, a period of at least 2^32 and about 2^127 on average. Not for secrets.
 */
export class Random {
  #a = 0
  #b: number
  #c: number
  #counter = 1

  /** Every safe integer gives another stream: seed = high · 2^32 + low fills two words of state, and no step loses information. */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed)) throw new Error(`a random seed must be a safe integer, not ${seed}`)
    this.#b = seed | 0
    this.#c = Math.floor(seed / 2 ** 32) | 0
    // As many rounds as the author runs, until neighbouring seeds have nothing in common.
    for (let round = 0; round < 12; round++) this.#word()
  }

  /** The next number in [0, 1), a multiple of 2^-53. */
  next(): number {
    const high = this.#word() >>> 5
    const low = this.#word() >>> 6
    return (high * 2 ** 26 + low) / 2 ** 53
  }

  /** 32 random bits, as a signed integer. */
  #word(): number {
    const word = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + word) | 0
    return word
  }
}
