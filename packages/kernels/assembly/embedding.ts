import { halves } from './simd'
import { BLOCK, Matrix, MatrixKind, PANEL_ROWS, paddedColumns, panelBytes, panelScaleBytes } from './matrix'

/** out[c] = factor · table[row][c]: f32 [columns]. */
export function embed(table: Matrix, row: i32, factor: f32, to: usize): void {
  const kind = table.kind
  const panel = <usize>(row / PANEL_ROWS)
  const lane = <usize>(row % PANEL_ROWS)
  const values = table.values + panel * panelBytes(kind, table.columns)
  const scales = table.scales + panel * panelScaleBytes(table)
  const columns = table.columns
  if (kind == MatrixKind.uint4) embedUint4(values, scales, lane, columns, factor * table.scaleFactor, to)
  else if (kind == MatrixKind.int8) {
    embedInt8(values, scales, lane, table.scaleStep, columns, factor * table.scaleFactor, to)
  } else if (kind == MatrixKind.float32) {
    for (let column = 0; column < columns; column++)
      store<f32>(
        to + ((<usize>column) << 2),
        factor * load<f32>(values + ((<usize>column) << 5) + (lane << 2)),
      )
  } else {
    for (let column = 0; column < columns; column++) {
      const value = f32x4.extract_lane(halves(values + ((<usize>column) << 4) + (lane << 1)), 0)
      store<f32>(to + ((<usize>column) << 2), factor * value)
    }
  }
}

function embedUint4(values: usize, scales: usize, lane: usize, columns: i32, factor: f32, to: usize): void {
  for (let column = 0; column < columns; column++) {
    const block = <usize>(column / BLOCK)
    const scale = f32x4.extract_lane(halves(scales + block * 16 + lane * 2), 0)
    const byte = load<u8>(values + <usize>(column >> 3) * 32 + lane * 4 + <usize>(column & 3))
    const nibble = <i32>((column & 4) != 0 ? byte >> 4 : byte & 15)
    store<f32>(to + ((<usize>column) << 2), factor * scale * <f32>(nibble - 8))
  }
}

function embedInt8(
  values: usize,
  scales: usize,
  lane: usize,
  scaleStep: i32,
  columns: i32,
  factor: f32,
  to: usize,
): void {
  for (let column = 0; column < columns; column++) {
    const scale = load<f32>(scales + <usize>((column / BLOCK) * scaleStep) + lane * 4)
    const value = load<i8>(values + <usize>(column >> 1) * 16 + lane * 2 + <usize>(column & 1))
    store<f32>(to + ((<usize>column) << 2), factor * scale * <f32>value)
  }
}
