import { toHalf } from './half'
import { BLOCK, Matrix, MatrixKind, PANEL_ROWS, paddedColumns } from './matrix'

/*
 * From a model folder's order to panels, piece by piece while the file streams by. A piece is `count` units from unit `first` on
 * of the whole tensor; where units lie in a transposed tensor, [parts, columns, rows/parts], parts > 0; row by row: parts = 0.
 */

/** Units are blocks of 32 weights of a row: 16 bytes, byte j holds weights 2j (low nibble) and 2j + 1. */
export function packUint4(matrix: Matrix, from: usize, first: i32, count: i32): void {
  const blocks = matrix.columns / BLOCK
  for (let unit = first; unit < first + count; unit++, from += 16) {
    const row = unit / blocks
    const block = (row / PANEL_ROWS) * blocks + (unit % blocks)
    const to = matrix.values + <usize>block * 128 + <usize>(row % PANEL_ROWS) * 4
    const bytes = v128.load(from)
    const even = v128.and(bytes, i8x16.splat(15))
    const odd = v128.and(i16x8.shr_u(bytes, 4), i8x16.splat(15))
    storeParts(to, v128.shuffle<i8>(even, odd, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23))
    storeParts(
      to + 64,
      v128.shuffle<i8>(even, odd, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
    )
  }
}

/** 16 nibbles, one a byte: two parts of eight columns, of which the later four become high nibbles. */
@inline
function storeParts(to: usize, nibbles: v128): void {
  const joined = v128.or(nibbles, i64x2.shr_u(nibbles, 28))
  store<i32>(to, i32x4.extract_lane(joined, 0))
  store<i32>(to + 32, i32x4.extract_lane(joined, 2))
}

/** Units are f32 scales, row by row, one a block of 32; they become fp16, divided by the matrix's factor. */
export function packUint4Scales(matrix: Matrix, from: usize, first: i32, count: i32): void {
  const blocks = matrix.columns / BLOCK
  const inverse: f32 = 1.0 / matrix.scaleFactor
  for (let unit = first; unit < first + count; unit++, from += 4) {
    const row = unit / blocks
    const block = (row / PANEL_ROWS) * blocks + (unit % blocks)
    const to = matrix.scales + ((<usize>(block * PANEL_ROWS + (row % PANEL_ROWS))) << 1)
    store<u16>(to, toHalf(load<f32>(from) * inverse))
  }
}

/** Units are i8. */
export function packInt8(matrix: Matrix, from: usize, first: i32, count: i32, parts: i32): void {
  pack<u8>(matrix, from, first, count, parts)
}

/** Units are f32. */
export function packFloat32(matrix: Matrix, from: usize, first: i32, count: i32, parts: i32): void {
  pack<u32>(matrix, from, first, count, parts)
}

/** Units are fp16. */
export function packFloat16(matrix: Matrix, from: usize, first: i32, count: i32, parts: i32): void {
  pack<u16>(matrix, from, first, count, parts)
}

/** Copies elements one by one; `run` of them lie in one row, or one column, of the target. */
function pack<T>(matrix: Matrix, from: usize, first: i32, count: i32, parts: i32): void {
  const columns = matrix.columns
  const width = parts == 0 ? columns : matrix.rows / parts
  const end = first + count
  for (let unit = first; unit < end;) {
    const line = unit / width
    const stop = min(end, (line + 1) * width)
    for (let at = unit - line * width; unit < stop; unit++, at++, from += sizeof<T>()) {
      const row = parts == 0 ? line : (line / columns) * width + at
      const column = parts == 0 ? at : line % columns
      store<T>(matrix.values + place<T>(matrix.kind, columns, row, column), load<T>(from))
    }
  }
}

/** Where an element lies, in bytes. */
@inline
function place<T>(kind: i32, columns: i32, row: i32, column: i32): usize {
  const panel = row / PANEL_ROWS
  const inPanel = row % PANEL_ROWS
  if (kind == MatrixKind.int8) {
    const padded = paddedColumns(kind, columns)
    return <usize>panel * padded * 8 + <usize>((column >> 1) * 16 + inPanel * 2 + (column & 1))
  }
  return (<usize>panel * columns + column) * (PANEL_ROWS * sizeof<T>()) + inPanel * sizeof<T>()
}
