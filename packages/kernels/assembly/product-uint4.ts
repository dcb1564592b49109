import { valueBytes } from './activations'
import { BLOCK, Matrix, PANEL_ROWS, paddedColumns, panelBytes, panelScaleBytes } from './matrix'
import { put } from './output'
import { halves, madd } from './simd'

/*
 * out[t][r] = Σ_b scale[r][b] · (activationScale[t][b] · Σ_k nibble[r][k] · q[t][k] − correction[t][b])
 * for the eight rows r of a panel, b over blocks of 32 columns k; correction = 8 · activationScale · Σ_k q, because nibbles are
 * weights plus 8. The sum over a block is exact: a 16-bit lane adds up eight times two products of at most 15 · 127.
 */

/** One token. Its 32 activations of a block stay in registers while both halves of the panel go by. */
@inline
function tileOne(
  weights: usize,
  scales: usize,
  scaleFactor: f32,
  blocks: i32,
  values: usize,
  factors: usize,
  to: usize,
  rowsLeft: i32,
): void {
  let low = f32x4.splat(0)
  let high = f32x4.splat(0)
  for (let block = 0; block < blocks; block++) {
    const a = v128.load_splat<i32>(values)
    const b = v128.load_splat<i32>(values, 4)
    const c = v128.load_splat<i32>(values, 8)
    const d = v128.load_splat<i32>(values, 12)
    const e = v128.load_splat<i32>(values, 16)
    const f = v128.load_splat<i32>(values, 20)
    const g = v128.load_splat<i32>(values, 24)
    const h = v128.load_splat<i32>(values, 28)
    low = addBlock(low, dotBlock(weights, a, b, c, d, e, f, g, h), halves(scales), factors)
    high = addBlock(high, dotBlock(weights + 16, a, b, c, d, e, f, g, h), halves(scales + 8), factors)
    weights += 128
    scales += 16
    values += 32
    factors += 8
  }
  const factor = f32x4.splat(scaleFactor)
  put(to, f32x4.mul(low, factor), f32x4.mul(high, factor), rowsLeft)
}

/**
 * Two to four tokens, whose activations lie `stride` bytes apart: weights are unpacked once for all.
 * @param tokens a constant where this is called, so that the branches on it are gone after inlining.
 */
@inline
function tileMany(
  tokens: i32,
  weights: usize,
  scales: usize,
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
    const end = values + 32
    for (; values < end; values += 8, weights += 32) {
      const pairLow = v128.load(weights)
      const pairHigh = v128.load(weights, 16)
      const low = lowNibbles(pairLow)
      const high = lowNibbles(pairHigh)
      let part = v128.load_splat<i32>(values)
      dotLow0 = addProducts(dotLow0, part, low)
      dotHigh0 = addProducts(dotHigh0, part, high)
      part = v128.load_splat<i32>(values + second)
      dotLow1 = addProducts(dotLow1, part, low)
      dotHigh1 = addProducts(dotHigh1, part, high)
      if (tokens > 2) {
        part = v128.load_splat<i32>(values + third)
        dotLow2 = addProducts(dotLow2, part, low)
        dotHigh2 = addProducts(dotHigh2, part, high)
      }
      if (tokens > 3) {
        part = v128.load_splat<i32>(values + fourth)
        dotLow3 = addProducts(dotLow3, part, low)
        dotHigh3 = addProducts(dotHigh3, part, high)
      }
      const nextLow = highNibbles(pairLow)
      const nextHigh = highNibbles(pairHigh)
      part = v128.load_splat<i32>(values, 4)
      dotLow0 = addProducts(dotLow0, part, nextLow)
      dotHigh0 = addProducts(dotHigh0, part, nextHigh)
      part = v128.load_splat<i32>(values + second, 4)
      dotLow1 = addProducts(dotLow1, part, nextLow)
      dotHigh1 = addProducts(dotHigh1, part, nextHigh)
      if (tokens > 2) {
        part = v128.load_splat<i32>(values + third, 4)
        dotLow2 = addProducts(dotLow2, part, nextLow)
        dotHigh2 = addProducts(dotHigh2, part, nextHigh)
      }
      if (tokens > 3) {
        part = v128.load_splat<i32>(values + fourth, 4)
        dotLow3 = addProducts(dotLow3, part, nextLow)
        dotHigh3 = addProducts(dotHigh3, part, nextHigh)
      }
    }
    const scaleLow = halves(scales)
    const scaleHigh = halves(scales + 8)
    low0 = addBlock(low0, dotLow0, scaleLow, factors)
    high0 = addBlock(high0, dotHigh0, scaleHigh, factors)
    low1 = addBlock(low1, dotLow1, scaleLow, factors + second)
    high1 = addBlock(high1, dotHigh1, scaleHigh, factors + second)
    if (tokens > 2) {
      low2 = addBlock(low2, dotLow2, scaleLow, factors + third)
      high2 = addBlock(high2, dotHigh2, scaleHigh, factors + third)
    }
    if (tokens > 3) {
      low3 = addBlock(low3, dotLow3, scaleLow, factors + fourth)
      high3 = addBlock(high3, dotHigh3, scaleHigh, factors + fourth)
    }
    scales += 16
    factors += 8
  }
  const factor = f32x4.splat(scaleFactor)
  put(to, f32x4.mul(low0, factor), f32x4.mul(high0, factor), rowsLeft)
  put(to + toStride, f32x4.mul(low1, factor), f32x4.mul(high1, factor), rowsLeft)
  if (tokens > 2) put(to + 2 * toStride, f32x4.mul(low2, factor), f32x4.mul(high2, factor), rowsLeft)
  if (tokens > 3) put(to + 3 * toStride, f32x4.mul(low3, factor), f32x4.mul(high3, factor), rowsLeft)
}

/** Four rows of a block times 32 activations, four in each of `a` to `h`: in 16 bits, lanes 2r and 2r + 1 together are row r's. */
@inline
function dotBlock(at: usize, a: v128, b: v128, c: v128, d: v128, e: v128, f: v128, g: v128, h: v128): v128 {
  return i16x8.add(
    i16x8.add(dotPart(v128.load(at), a, b), dotPart(v128.load(at, 32), c, d)),
    i16x8.add(dotPart(v128.load(at, 64), e, f), dotPart(v128.load(at, 96), g, h)),
  )
}


@inline
function dotPart(pair: v128, first: v128, second: v128): v128 {
  return i16x8.add(products(first, lowNibbles(pair)), products(second, highNibbles(pair)))
}


@inline
function addProducts(sum: v128, activations: v128, nibbles: v128): v128 {
  return i16x8.add(sum, products(activations, nibbles))
}

/** i8 [16] times nibbles [16], neighbours added: i16 [8]. */
@inline
function products(activations: v128, nibbles: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return v128.relaxed_dot<i16>(activations, nibbles)
  const even = i16x8.mul(i16x8.shr_s(i16x8.shl(activations, 8), 8), v128.and(nibbles, i16x8.splat(255)))
  const odd = i16x8.mul(i16x8.shr_s(activations, 8), i16x8.shr_u(nibbles, 8))
  return i16x8.add(even, odd)
}


@inline
function lowNibbles(pair: v128): v128 {
  return v128.and(pair, i8x16.splat(15))
}


@inline
function highNibbles(pair: v128): v128 {
  return v128.and(i16x8.shr_u(pair, 4), i8x16.splat(15))
}


@inline
function addBlock(sum: v128, dot: v128, scale: v128, factors: usize): v128 {
  const whole = f32x4.convert_i32x4_s(i32x4.extadd_pairwise_i16x8_s(dot))
  const scaled = f32x4.mul(whole, v128.load_splat<f32>(factors))
  return madd(f32x4.sub(scaled, v128.load_splat<f32>(factors, 4)), scale, sum)
}

/** All panels from row `first` to `end`, for as many tokens as `N` says. */
export function panelsUint4<N>(
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
  let weights = matrix.values + <usize>(first / PANEL_ROWS) * step
  let scales = matrix.scales + <usize>(first / PANEL_ROWS) * scaleBytes
  let out = to + ((<usize>first) << 2)
  for (let row = first; row < end; row += PANEL_ROWS, weights += step, scales += scaleBytes, out += 32) {
    const left = matrix.rows - row
    if (offsetof<N>() == 1) tileOne(weights, scales, factor, blocks, from, factors, out, left)
    else tileMany(offsetof<N>(), weights, scales, factor, blocks, from, factors, stride, out, toStride, left)
  }
}
