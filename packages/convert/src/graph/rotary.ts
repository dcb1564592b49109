/** How fast each pair of a head turns. */
export interface RotaryFrequencies {
  /** Radians a position, [pairs]; pairs that a head has beyond them do not turn. */
  readonly frequencies: Float64Array
  /** Factor on cosines and sines (YaRN's attention factor), else 1. */
  readonly magnitude: number
}

/** Pair i of `rotaryDim`/2 turns by theta^(−2i/rotaryDim) a position. */
export function plainRotary(theta: number, rotaryDim: number): RotaryFrequencies {
  const frequencies = Float64Array.from(
    { length: rotaryDim / 2 },
    (_, pair) => theta ** ((-2 * pair) / rotaryDim),
  )
  return { frequencies, magnitude: 1 }
}

/** Cosines and sines of every position and pair, fp32 [contextLength, headDim/2] each. */
export function rotaryTables(
  { frequencies, magnitude }: RotaryFrequencies,
  contextLength: number,
  headDim: number,
): { readonly cos: Float32Array; readonly sin: Float32Array } {
  const pairs = headDim / 2
  const cos = new Float32Array(contextLength * pairs).fill(1)
  const sin = new Float32Array(contextLength * pairs)
  for (let position = 0; position < contextLength; position++) {
    for (const [pair, frequency] of frequencies.entries()) {
      const angle = position * frequency
      cos[position * pairs + pair] = Math.cos(angle) * magnitude
      sin[position * pairs + pair] = Math.sin(angle) * magnitude
    }
  }
  return { cos, sin }
}
