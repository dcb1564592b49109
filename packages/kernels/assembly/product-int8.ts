import { valueBytes } from './activations'
import { BLOCK, Matrix, PANEL_ROWS, paddedColumns, panelBytes, panelScaleBytes } from './matrix'
import { put } from './output'
import { madd } from './simd'

/**
 * out[t][r] = Σ_b scale[r][b] · activationScale[t][b] · Σ_k weight[r][k] · q[t][k] for the eight rows r of a panel and `tokens`
 * tokens t whose activations lie `stride` bytes apart, b over blocks of 32 columns k. The sum over a block is exact: 32 · 127 · 2047
 * is below 2^24, so it stays exact as a float too.
 * @param tokens 1 to 4, a constant where this is called, so that the branches on it are gone after inlining.
 * @param scaleStep bytes between the scales of two blocks; 0: a row has one scale.
 */
@inline
function tile(
  tokens: i32,
  weights: usize,
  scales: usize,
  scaleStep: usize,
  scaleFactor: f32,
  blocks: i32,
  values: usize,
  factors: usize,
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
  for (let block = 0; block < blocks; block++) {
    let dotLow0 = zero
    let dotLow1 = zero
    let dotLow2 = zero
    let dotLow3 = zero
    let dotHigh0 = zero
    let dotHigh1 = zero
    let dotHigh2 = zero
    let dotHigh3 = zero
    const end = values + 64
    for (; values < end; values += 4, weights += 16) {
      const low = v128.load_ext<i8>(weights)
      const high = v128.load_ext<i8>(weights, 8)
      let pair = v128.load_splat<i32>(values)
      dotLow0 = i32x4.add(dotLow0, i32x4.dot_i16x8_s(pair, low))
      dotHigh0 = i32x4.add(dotHigh0, i32x4.dot_i16x8_s(pair, high))
      if (tokens > 1) {
        pair = v128.load_splat<i32>(values + second)
        dotLow1 = i32x4.add(dotLow1, i32x4.dot_i16x8_s(pair, low))
        dotHigh1 = i32x4.add(dotHigh1, i32x4.dot_i16x8_s(pair, high))
      }
      if (tokens > 2) {
        pair = v128.load_splat<i32>(values + third)
        dotLow2 = i32x4.add(dotLow2, i32x4.dot_i16x8_s(pair, low))
        dotHigh2 = i32x4.add(dotHigh2, i32x4.dot_i16x8_s(pair, high))
      }
      if (tokens > 3) {
        pair = v128.load_splat<i32>(values + fourth)
        dotLow3 = i32x4.add(dotLow3, i32x4.dot_i16x8_s(pair, low))
        dotHigh3 = i32x4.add(dotHigh3, i32x4.dot_i16x8_s(pair, high))
      }
    }
    const scaleLow = v128.load(scales)
    const scaleHigh = v128.load(scales, 16)
    low0 = addBlock(low0, dotLow0, scaleLow, factors)
    high0 = addBlock(high0, dotHigh0, scaleHigh, factors)
    if (tokens > 1) {
      low1 = addBlock(low1, dotLow1, scaleLow, factors + second)
      high1 = addBlock(high1, dotHigh1, scaleHigh, factors + second)
    }
    if (tokens > 2) {
      low2 = addBlock(low2, dotLow2, scaleLow, factors + third)
      high2 = addBlock(high2, dotHigh2, scaleHigh, factors + third)
    }
    if (tokens > 3) {
      low3 = addBlock(low3, dotLow3, scaleLow, factors + fourth)
      high3 = addBlock(high3, dotHigh3, scaleHigh, factors + fourth)
    }
    scales += scaleStep
    factors += 4
  }
  const factor = f32x4.splat(scaleFactor)
  put(to, f32x4.mul(low0, factor), f32x4.mul(high0, factor), rowsLeft)
  if (tokens > 1) put(to + toStride, f32x4.mul(low1, factor), f32x4.mul(high1, factor), rowsLeft)
  if (tokens > 2) put(to + 2 * toStride, f32x4.mul(low2, factor), f32x4.mul(high2, factor), rowsLeft)
  if (tokens > 3) put(to + 3 * toStride, f32x4.mul(low3, factor), f32x4.mul(high3, factor), rowsLeft)
}


@inline
function addBlock(sum: v128, dot: v128, scale: v128, factors: usize): v128 {
  const scaled = f32x4.mul(f32x4.convert_i32x4_s(dot), v128.load_splat<f32>(factors))
  return madd(scaled, scale, sum)
}

/** All panels from row `first` to `end`, for as many tokens as `N` says. */
export function panelsInt8<N>(
  matrix: Matrix,
  from: usize,
  stride: usize,
  to: usize,
  toStride: usize,
  first: i32,
  end: i32,
): void {
  const step = <usize>panelBytes(matrix.kind, matrix.columns)
  const scaleBytes = <usize>panelScaleBytes(matrix)
  const padded = paddedColumns(matrix.kind, matrix.columns)
  const blocks = padded / BLOCK
  const factors = from + <usize>valueBytes(matrix.kind, padded)
  const factor = matrix.scaleFactor
  const scaleStep = <usize>matrix.scaleStep
  let weights = matrix.values + <usize>(first / PANEL_ROWS) * step
  let scales = matrix.scales + <usize>(first / PANEL_ROWS) * scaleBytes
  let out = to + ((<usize>first) << 2)
  for (let row = first; row < end; row += PANEL_ROWS, weights += step, scales += scaleBytes, out += 32) {
    const left = matrix.rows - row
    tile(
      offsetof<N>(),
      weights,
      scales,
      scaleStep,
      factor,
      blocks,
      from,
      factors,
      stride,
      out,
      toStride,
      left,
    )
  }
}
