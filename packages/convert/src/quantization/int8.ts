import type { Matrix } from '../graph/decoder-spec.ts'
import type { QuantizationError } from './report.ts'

/** weight[row][column] ≈ values[row · columns + column] · scales[row], values in −127…127. */
export interface Int8Matrix {
  readonly values: Int8Array
  readonly scales: Float32Array
}

/** Symmetric, one scale per output row, so that the scale can be applied after the product. */
export function quantizeInt8(matrix: Matrix, error: QuantizationError): Int8Matrix {
  const { rows, columns, data } = matrix
  const values = new Int8Array(data.length)
  const scales = new Float32Array(rows)
  for (let row = 0; row < rows; row++) {
    const begin = row * columns
    const largest = largestMagnitude(data, begin, begin + columns)
    const scale = (scales[row] = largest === 0 ? 1 : largest / 127)
    for (let i = begin; i < begin + columns; i++) {
      values[i] = Math.round((data[i] as number) / scale) // the largest gives 127
    }
  }
  error.add(matrix.name, data, (i) => (values[i] as number) * (scales[Math.trunc(i / columns)] as number))
  return { values, scales }
}

function largestMagnitude(data: Float32Array, begin: number, end: number): number {
  let largest = 0
  for (let i = begin; i < end; i++) {
    const magnitude = Math.abs(data[i] as number)
    if (magnitude > largest) largest = magnitude
  }
  return largest
}
