/** [rows, columns] → [columns, rows], into `target` from `offset` on. */
export function transposeInto<T extends Float32Array | Int8Array>(
  source: T,
  rows: number,
  columns: number,
  target: T,
  offset = 0,
): void {
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      target[offset + column * rows + row] = source[row * columns + column] as number
    }
  }
}
