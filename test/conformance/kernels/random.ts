/** A small generator, the same on every machine: mulberry32. */
export class Random {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** [0, 1) */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let t = this.#state
    t = Math.imul(t ^ (t >>> 15), t | 1)
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61)
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }

  /** About normal, standard deviation 1. */
  floats(count: number): Float32Array {
    return Float32Array.from(
      { length: count },
      () => (this.next() + this.next() + this.next() + this.next() - 2) * 1.73,
    )
  }

  ints(count: number, from: number, to: number): Int32Array {
    return Int32Array.from({ length: count }, () => from + Math.floor(this.next() * (to - from + 1)))
  }
}

/** Throws where a value is further than `tolerance` from what it should be, relative to `scale`, by default the largest of these. */
export function expectNear(
  what: string,
  found: ArrayLike<number>,
  wanted: ArrayLike<number>,
  tolerance: number,
  scale = Math.max(1e-30, ...Array.from(wanted, Math.abs)),
): void {
  for (let index = 0; index < wanted.length; index++) {
    const error = Math.abs((found[index] ?? NaN) - (wanted[index] ?? NaN)) / scale
    if (!(error <= tolerance))
      throw new Error(`${what}: [${index}] is ${found[index]}, not ${wanted[index]} (of up to ${scale})`)
  }
}

export function expectEqual(what: string, found: ArrayLike<number>, wanted: ArrayLike<number>): void {
  for (let index = 0; index < wanted.length; index++)
    if (found[index] !== wanted[index])
      throw new Error(`${what}: [${index}] is ${found[index]}, not ${wanted[index]}`)
}
