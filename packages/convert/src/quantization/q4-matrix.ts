export const Q4_BLOCK = 32

/**
 * Blocks of 32 along the inputs: weight ≈ (nibble − 8) · scale.
 * values [rows, columns/2], the low nibble first; scales [rows, columns/32]. The layout of MatMulNBits and of GatherBlockQuantized alike.
 */
export interface Q4Matrix {
  readonly values: Uint8Array
  readonly scales: Float32Array
}

/** The weights that blocks stand for. */
export function restoreQ4({ values, scales }: Q4Matrix): Float32Array {
  const restored = new Float32Array(2 * values.length)
  for (let i = 0; i < restored.length; i++) {
    const byte = values[i >> 1]!
    restored[i] = ((i % 2 === 0 ? byte & 15 : byte >> 4) - 8) * scales[Math.trunc(i / Q4_BLOCK)]!
  }
  return restored
}
