/** How the values of a matrix lie. `src/exports.ts` has the same numbers. */
export namespace MatrixKind {
  /** f32 [rows/8][columns][8]. */
  export const float32: i32 = 0
  /** f16 in the same order. */
  export const float16: i32 = 1
  /** i8 [rows/8][columns/2][8][2]; f32 scales [rows/8][8], or [rows/8][columns/32][8]. */
  export const int8: i32 = 2
  /** Weights plus 8 [rows/8][columns/8][8][4]: low nibbles hold columns 0–3 of eight, high ones 4–7; f16 scales [rows/8][columns/32][8]. */
  export const uint4: i32 = 3
}

/** Rows side by side: a panel is read from its first byte to its last, and one load of activations serves them all. */
export const PANEL_ROWS: i32 = 8
/** Columns that share a scale. */
export const BLOCK: i32 = 32

/** A weight matrix [rows, columns] = [outputs, inputs]. In memory rows are filled up with zeros to whole panels, columns of block kinds to whole blocks. */
@unmanaged
export class Matrix {
  kind: i32
  rows: i32
  columns: i32
  values: usize
  scales: usize
  /** Bytes from a block's eight scales to the next block's: 0 where a row has one scale. */
  scaleStep: i32
  /** Factor on all scales: fp16 ones are stored divided by it, to stay clear of subnormals. */
  scaleFactor: f32
  /** f32 [rows], or 0. */
  bias: usize
}

/** Columns as they lie in memory. */
@inline
export function paddedColumns(kind: i32, columns: i32): i32 {
  return kind >= MatrixKind.int8 ? (columns + BLOCK - 1) & -BLOCK : columns
}

/** Bytes of the values of eight rows. */
@inline
export function panelBytes(kind: i32, columns: i32): i32 {
  const padded = paddedColumns(kind, columns)
  if (kind == MatrixKind.float32) return padded * 32
  if (kind == MatrixKind.float16) return padded * 16
  if (kind == MatrixKind.int8) return padded * 8
  return padded * 4
}

/** Bytes of the scales of eight rows. */
@inline
export function panelScaleBytes(matrix: Matrix): i32 {
  const blocks = paddedColumns(matrix.kind, matrix.columns) / BLOCK
  if (matrix.kind == MatrixKind.uint4) return blocks * 16
  return matrix.scaleStep == 0 ? 32 : blocks * 32
}
