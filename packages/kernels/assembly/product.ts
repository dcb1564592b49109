import { activationBytes } from './activations'
import { Four, One, Three, Two } from './count'
import { Matrix, MatrixKind, PANEL_ROWS, panelBytes } from './matrix'
import { panelsFloat } from './product-float'
import { panelsInt8 } from './product-int8'
import { panelsUint4 } from './product-uint4'

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
  if (tokens == 1) panelsOf<One>(matrix, from, stride, to, toStride, first, end)
  else if (tokens == 2) panelsOf<Two>(matrix, from, stride, to, toStride, first, end)
  else if (tokens == 3) panelsOf<Three>(matrix, from, stride, to, toStride, first, end)
  else panelsOf<Four>(matrix, from, stride, to, toStride, first, end)
}

function panelsOf<N>(
  matrix: Matrix,
  from: usize,
  stride: i32,
  to: usize,
  toStride: i32,
  first: i32,
  end: i32,
): void {
  const kind = matrix.kind
  if (kind == MatrixKind.uint4) panelsUint4<N>(matrix, from, stride, to, toStride, first, end)
  else if (kind == MatrixKind.int8) panelsInt8<N>(matrix, from, stride, to, toStride, first, end)
  else if (kind == MatrixKind.float32) panelsFloat<f32, N>(matrix, from, stride, to, toStride, first, end)
  else panelsFloat<u16, N>(matrix, from, stride, to, toStride, first, end)
}

function addBias(bias: usize, tokens: i32, to: usize, toStride: i32, first: i32, end: i32): void {
  for (let token = 0; token < tokens; token++) {
    const out = to + <usize>(token * toStride)
    for (let row = (<usize>first) << 2; row < (<usize>end) << 2; row += 4)
      store<f32>(out + row, load<f32>(out + row) + load<f32>(bias + row))
  }
}
