/** The mean of a text's first `count` token vectors; what lies behind them is padding. */
export function meanOf(vectors: Float32Array, width: number, count: number): Float32Array {
  const sum = new Float64Array(width)
  for (let at = 0; at < count * width; at++) sum[at % width] = (sum[at % width] ?? 0) + (vectors[at] ?? 0)
  return Float32Array.from(sum, (value) => value / count)
}

/** The vector of the first token. */
export function clsOf(vectors: Float32Array, width: number): Float32Array {
  return vectors.slice(0, width)
}

/** The same direction at length 1; zero stays zero. */
export function normalized(vector: Float32Array): Float32Array {
  const length = Math.hypot(...vector)
  return length === 0 ? vector : vector.map((value) => value / length)
}
