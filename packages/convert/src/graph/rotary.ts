export interface RotaryShape {
  readonly contextLength: number
  readonly headDim: number
  /** Elements that turn; the pairs above them stay as they are. */
  readonly rotaryDim: number
  readonly theta: number
}

/** Cosines and sines of every position and pair, fp32 [contextLength, headDim/2] each; pair i turns by position · theta^(−2i/rotaryDim). */
export function rotaryTables({ contextLength, headDim, rotaryDim, theta }: RotaryShape): {
  readonly cos: Float32Array
  readonly sin: Float32Array
} {
  const pairs = headDim / 2
  const cos = new Float32Array(contextLength * pairs).fill(1)
  const sin = new Float32Array(contextLength * pairs)
  for (let position = 0; position < contextLength; position++) {
    for (let pair = 0; pair < rotaryDim / 2; pair++) {
      const angle = position * theta ** ((-2 * pair) / rotaryDim)
      cos[position * pairs + pair] = Math.cos(angle)
      sin[position * pairs + pair] = Math.sin(angle)
    }
  }
  return { cos, sin }
}
