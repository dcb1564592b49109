/** [rows, columns] → [columns, rows]. */
export function transposed<T extends Float32Array | Int8Array>(source: T, rows: number, columns: number): T {
  const target = source.slice() as T // the same kind of array, every element of it written below
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      target[column * rows + row] = source[row * columns + column]!
    }
  }
  return target
}
