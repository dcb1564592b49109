import type { DecoderLayer, DecoderSpec, Matrix } from './decoder-spec.ts'

/** GroupQueryAttention with rotary refuses heads whose size is no multiple of this. */
const HEAD_DIM_STEP = 16

/**
 * The same decoder with heads filled up with zeros to a size that GroupQueryAttention takes. Exact: zeros add nothing to a dot
 * product, the scale stays that of the real size, and the filled-up columns of the output matrix are zero.
 * The price is a KV cache with the same zeros in it, so it only happens to tiny models.
 */
export function padHeads(spec: DecoderSpec): DecoderSpec {
  const from = spec.headDim
  const to = Math.ceil(from / HEAD_DIM_STEP) * HEAD_DIM_STEP
  if (from === to) return spec
  // Rotary turns element i with i + headDim/2: the second half must move to the new second half.
  const rotary = (element: number): number => (element < from / 2 ? element : element - from / 2 + to / 2)
  const plain = (element: number): number => element
  const layers = spec.layers.map((layer): DecoderLayer => ({
    ...layer,
    query: padRows(layer.query, from, to, rotary),
    key: padRows(layer.key, from, to, rotary),
    value: padRows(layer.value, from, to, plain),
    output: padColumns(layer.output, from, to),
  }))
  return { ...spec, headDim: to, layers }
}

function padRows(matrix: Matrix, from: number, to: number, place: (element: number) => number): Matrix {
  const { columns, data } = matrix
  const rows = (matrix.rows / from) * to
  const padded = new Float32Array(rows * columns)
  for (let row = 0; row < matrix.rows; row++) {
    const target = Math.trunc(row / from) * to + place(row % from)
    padded.set(data.subarray(row * columns, (row + 1) * columns), target * columns)
  }
  return { ...matrix, rows, data: padded }
}

function padColumns(matrix: Matrix, from: number, to: number): Matrix {
  const { rows, data } = matrix
  const columns = (matrix.columns / from) * to
  const padded = new Float32Array(rows * columns)
  for (let begin = 0; begin < data.length; begin += from) {
    padded.set(data.subarray(begin, begin + from), (begin / from) * to)
  }
  return { ...matrix, columns, data: padded }
}
