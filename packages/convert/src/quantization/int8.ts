/** weight[row][column] ≈ values[row · columns + column] · scales[row], values in −127…127. */
export interface Int8Matrix {
  readonly values: Int8Array
  readonly scales: Float32Array
}

/** Rows of `columns` weights. Symmetric, one scale per output row, so that the scale can be applied after the product. */
export function quantizeInt8(data: Float32Array, columns: number): Int8Matrix {
  const values = new Int8Array(data.length)
  const scales = new Float32Array(data.length / columns)
  for (let row = 0; row < scales.length; row++) {
    const begin = row * columns
    const largest = largestMagnitude(data, begin, begin + columns)
    const scale = (scales[row] = largest === 0 ? 1 : largest / 127)
    for (let i = begin; i < begin + columns; i++) values[i] = Math.round(data[i]! / scale) // the largest gives 127
  }
  return { values, scales }
}

export function restoreInt8({ values, scales }: Int8Matrix): Float32Array {
  const columns = values.length / scales.length
  const restored = new Float32Array(values.length)
  for (let row = 0; row < scales.length; row++) {
    const scale = scales[row]!
    for (let i = row * columns; i < (row + 1) * columns; i++) restored[i] = values[i]! * scale
  }
  return restored
}

function largestMagnitude(data: Float32Array, begin: number, end: number): number {
  let largest = 0
  for (let i = begin; i < end; i++) {
    const magnitude = Math.abs(data[i]!)
    if (magnitude > largest) largest = magnitude
  }
  return largest
}
