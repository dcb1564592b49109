import { activationBytes, valueBytes } from './activations'
import { BLOCK, Matrix, MatrixKind, PANEL_ROWS, paddedColumns, panelBytes, panelScaleBytes } from './matrix'
import { tileFloat } from './product-float'
import { tileInt8 } from './product-int8'
import { tileUint4, tileUint4One } from './product-uint4'

/** Bytes of weights that go past all tokens before the next ones are read: they stay in the innermost cache. */
const CACHED_BYTES: i32 = 16384

/**
 * out[t][r] = Σ_c weight[r][c] · x[t][c] + bias[r], for rows `first` to `end` and `tokens` tokens.
 * @param activations as `prepare` makes them for the matrix's kind, one token behind the other.
 * @param to f32 [tokens, toStride/4]; `first` is a multiple of 8.
 */
export function product(
  matrix: Matrix,
  activations: usize,
  tokens: i32,
  to: usize,
  toStride: i32,
  first: i32,
  end: i32,
): void {
  const step = panelBytes(matrix.kind, matrix.columns)
  const rowsAtOnce = tokens <= 4 ? end : max(1, CACHED_BYTES / step) * PANEL_ROWS
  const stride = activationBytes(matrix.kind, matrix.columns)
  for (let row = first; row < end; row += rowsAtOnce) {
    const stop = min(end, row + rowsAtOnce)
    for (let token = 0; token < tokens; token += 4) {
      const from = activations + <usize>(token * stride)
      const out = to + <usize>(token * toStride)
      panels(matrix, min(4, tokens - token), from, stride, out, toStride, row, stop)
    }
  }
  if (matrix.bias != 0) addBias(matrix.bias, tokens, to, toStride, first, end)
}

/** At most four tokens, all panels from row `first` to `end`. */
function panels(
  matrix: Matrix,
  tokens: i32,
  from: usize,
  stride: i32,
  to: usize,
  toStride: i32,
  first: i32,
  end: i32,
): void {
  if (tokens == 1) panelsOf(1, matrix, from, stride, to, toStride, first, end)
  else if (tokens == 2) panelsOf(2, matrix, from, stride, to, toStride, first, end)
  else if (tokens == 3) panelsOf(3, matrix, from, stride, to, toStride, first, end)
  else panelsOf(4, matrix, from, stride, to, toStride, first, end)
}


@inline
function panelsOf(
  tokens: i32,
  matrix: Matrix,
  from: usize,
  stride: i32,
  to: usize,
  toStride: i32,
  first: i32,
  end: i32,
): void {
  const kind = matrix.kind
  const columns = matrix.columns
  const rows = matrix.rows
  const panel = first / PANEL_ROWS
  const step = <usize>panelBytes(kind, columns)
  const scaleBytes = <usize>panelScaleBytes(matrix)
  const padded = paddedColumns(kind, columns)
  const factors = from + <usize>valueBytes(kind, padded)
  let weights = matrix.values + <usize>panel * step
  let scales = matrix.scales + <usize>panel * scaleBytes
  let out = to + ((<usize>first) << 2)
  for (let row = first; row < end; row += PANEL_ROWS, weights += step, scales += scaleBytes, out += 32) {
    const left = rows - row
    if (kind == MatrixKind.uint4) {
      const blocks = padded / BLOCK
      const factor = matrix.scaleFactor
      if (tokens == 1) tileUint4One(weights, scales, factor, blocks, from, factors, out, left)
      else tileUint4(tokens, weights, scales, factor, blocks, from, factors, stride, out, toStride, left)
    } else if (kind == MatrixKind.int8) {
      const blocks = padded / BLOCK
      const scaleStep = matrix.scaleStep
      const factor = matrix.scaleFactor
      tileInt8(tokens, weights, scales, scaleStep, factor, blocks, from, factors, stride, out, toStride, left)
    } else if (kind == MatrixKind.float32) {
      tileFloat<f32>(tokens, weights, columns, from, stride, out, toStride, left)
    } else tileFloat<u16>(tokens, weights, columns, from, stride, out, toStride, left)
  }
}

function addBias(bias: usize, tokens: i32, to: usize, toStride: i32, first: i32, end: i32): void {
  for (let token = 0; token < tokens; token++) {
    const out = to + <usize>(token * toStride)
    for (let row = (<usize>first) << 2; row < (<usize>end) << 2; row += 4)
      store<f32>(out + row, load<f32>(out + row) + load<f32>(bias + row))
  }
}
