import type { Matrix } from '../graph/decoder-spec.ts'
import type { QuantizationError } from './report.ts'

export const Q4_BLOCK = 32

/**
 * Blocks of 32 along the inputs: weight ≈ (nibble − 8) · scale.
 * values [rows, columns/2], the low nibble first; scales [rows, columns/32]. The layout of MatMulNBits and of GatherBlockQuantized alike.
 */
export interface Q4Matrix {
  readonly values: Uint8Array
  readonly scales: Float32Array
}

/** Whether blocks fill the rows exactly. Other matrices stay fp32: a padded block would need padded activations. */
export function fitsQ4(matrix: Matrix): boolean {
  return matrix.columns % Q4_BLOCK === 0
}

/** The scale has the sign that puts the largest magnitude on −8, the end of the range that reaches further. */
export function quantizeQ4(matrix: Matrix, error: QuantizationError): Q4Matrix {
  const { data } = matrix
  const nibbles = new Uint8Array(data.length)
  const scales = new Float32Array(data.length / Q4_BLOCK)
  for (let block = 0; block < scales.length; block++) {
    const begin = block * Q4_BLOCK
    const scale = (scales[block] = Math.fround(signedLargest(data, begin, begin + Q4_BLOCK) / -8))
    for (let i = begin; i < begin + Q4_BLOCK; i++) {
      nibbles[i] = scale === 0 ? 8 : Math.max(0, Math.min(15, Math.round((data[i] as number) / scale) + 8))
    }
  }
  error.add(
    matrix.name,
    data,
    (i) => ((nibbles[i] as number) - 8) * (scales[Math.trunc(i / Q4_BLOCK)] as number),
  )
  return { values: packNibbles(nibbles), scales }
}

function signedLargest(data: Float32Array, begin: number, end: number): number {
  let largest = 0
  for (let i = begin; i < end; i++) {
    if (Math.abs(data[i] as number) > Math.abs(largest)) largest = data[i] as number
  }
  return largest
}

function packNibbles(nibbles: Uint8Array): Uint8Array {
  const packed = new Uint8Array(nibbles.length / 2)
  for (let i = 0; i < packed.length; i++)
    packed[i] = (nibbles[2 * i] as number) | ((nibbles[2 * i + 1] as number) << 4)
  return packed
}
