import { Matrix, PANEL_ROWS, panelBytes } from './matrix'
import { put } from './output'
import { halves, madd } from './simd'

/**
 * out[t][r] = Σ_k weight[r][k] · x[t][k] in fp32, k in ascending order, for the eight rows r of a panel and `tokens` tokens t whose
 * activations lie `stride` bytes apart. `T`: f32 weights, or u16 for fp16 ones.
 * @param tokens 1 to 4, a constant where this is called, so that the branches on it are gone after inlining.
 */
@inline
function tile<T>(
  tokens: i32,
  weights: usize,
  columns: i32,
  values: usize,
  stride: usize,
  to: usize,
  toStride: usize,
  rowsLeft: i32,
): void {
  const second = stride
  const third = stride + stride
  const fourth = stride + stride + stride
  const zero = f32x4.splat(0)
  let low0 = zero
  let low1 = zero
  let low2 = zero
  let low3 = zero
  let high0 = zero
  let high1 = zero
  let high2 = zero
  let high3 = zero
  const end = values + ((<usize>columns) << 2)
  for (; values < end; values += 4, weights += 8 * sizeof<T>()) {
    const low = four<T>(weights)
    const high = four<T>(weights + 4 * sizeof<T>())
    let x = v128.load_splat<f32>(values)
    low0 = madd(low, x, low0)
    high0 = madd(high, x, high0)
    if (tokens > 1) {
      x = v128.load_splat<f32>(values + second)
      low1 = madd(low, x, low1)
      high1 = madd(high, x, high1)
    }
    if (tokens > 2) {
      x = v128.load_splat<f32>(values + third)
      low2 = madd(low, x, low2)
      high2 = madd(high, x, high2)
    }
    if (tokens > 3) {
      x = v128.load_splat<f32>(values + fourth)
      low3 = madd(low, x, low3)
      high3 = madd(high, x, high3)
    }
  }
  put(to, low0, high0, rowsLeft)
  if (tokens > 1) put(to + toStride, low1, high1, rowsLeft)
  if (tokens > 2) put(to + 2 * toStride, low2, high2, rowsLeft)
  if (tokens > 3) put(to + 3 * toStride, low3, high3, rowsLeft)
}


@inline
function four<T>(at: usize): v128 {
  return sizeof<T>() == 4 ? v128.load(at) : halves(at)
}

/** All panels from row `first` to `end`, for as many tokens as `N` says. */
export function panelsFloat<T, N>(
  matrix: Matrix,
  from: usize,
  stride: usize,
  to: usize,
  toStride: usize,
  first: i32,
  end: i32,
): void {
  const step = <usize>panelBytes(matrix.kind, matrix.columns)
  let weights = matrix.values + <usize>(first / PANEL_ROWS) * step
  let out = to + ((<usize>first) << 2)
  for (let row = first; row < end; row += PANEL_ROWS, weights += step, out += 32) {
    const left = matrix.rows - row
    tile<T>(offsetof<N>(), weights, matrix.columns, from, stride, out, toStride, left)
  }
}
