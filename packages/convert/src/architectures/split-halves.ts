import { rearrangeRows } from '../graph/matrix.ts'
import type { Matrix } from '../graph/matrix.ts'

/** Within each head, even rows first and odd rows after them: rotary pairs that were neighbours become halves. */
export function splitHalves(matrix: Matrix, headDim: number): Matrix {
  return rearrangeRows(matrix, headDim, headDim, (row) => (row % 2) * (headDim / 2) + Math.trunc(row / 2))
}
