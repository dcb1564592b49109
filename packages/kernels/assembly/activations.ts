import { BLOCK, MatrixKind, paddedColumns } from './matrix'
import { maxLane } from './simd'

/**
 * The inputs of a product as its matrix kind wants them. A token's activations take `activationBytes`; first the values, then
 * the factors of its blocks:
 *   float kinds  f32 [columns]
 *   int8         i16 [columns], ±2047; per block one f32: the scale
 *   uint4        i8 [columns], ±127; per block two f32: the scale, and 8 · scale · Σ values, which undoes the weights' offset
 * More bits for int8 cost nothing: its products are made of 16-bit factors anyway.
 */
export function activationBytes(kind: i32, columns: i32): i32 {
  const padded = paddedColumns(kind, columns)
  if (kind < MatrixKind.int8) return (padded * 4 + 15) & -16
  if (kind == MatrixKind.int8) return (valueBytes(kind, padded) + (padded / BLOCK) * 4 + 15) & -16
  return (valueBytes(kind, padded) + (padded / BLOCK) * 8 + 15) & -16
}

/** Bytes of a token's values; the factors lie behind them. */
@inline
export function valueBytes(kind: i32, padded: i32): i32 {
  return kind == MatrixKind.int8 ? padded * 2 : padded
}

/** Prepares f32 [columns] at `from` for products of `kind`. `from` must be readable and zero up to the padded size. */
export function prepare(kind: i32, from: usize, columns: i32, to: usize): void {
  const padded = paddedColumns(kind, columns)
  if (kind == MatrixKind.int8) quantize12(from, padded, to)
  else if (kind == MatrixKind.uint4) quantize8(from, padded, to)
  else memory.copy(to, from, (<usize>columns) << 2)
}

/** x ≈ scale · q, q in ±2047, one scale for 32 values: scale = max |x| / 2047. */
function quantize12(from: usize, columns: i32, to: usize): void {
  let factors = to + ((<usize>columns) << 1)
  const end = from + ((<usize>columns) << 2)
  for (; from < end; from += 128, to += 64, factors += 4) {
    const scale = largest(from) / 2047
    store<f32>(factors, scale)
    const inverse = f32x4.splat(scale > 0 ? 1 / scale : 0)
    for (let at: usize = 0; at < 128; at += 32) {
      const left = rounded(from + at, inverse)
      const right = rounded(from + at + 16, inverse)
      v128.store(to + (at >> 1), i16x8.narrow_i32x4_s(left, right))
    }
  }
}

/** x ≈ scale · q, q in ±127, one scale for 32 values: scale = max |x| / 127. */
function quantize8(from: usize, columns: i32, to: usize): void {
  let factors = to + <usize>columns
  const end = from + ((<usize>columns) << 2)
  for (; from < end; from += 128, to += 32, factors += 8) {
    const scale = largest(from) / 127
    const inverse = f32x4.splat(scale > 0 ? 1 / scale : 0)
    let sum = i32x4.splat(0)
    for (let at: usize = 0; at < 128; at += 64) {
      const a = rounded(from + at, inverse)
      const b = rounded(from + at + 16, inverse)
      const c = rounded(from + at + 32, inverse)
      const d = rounded(from + at + 48, inverse)
      sum = i32x4.add(sum, i32x4.add(i32x4.add(a, b), i32x4.add(c, d)))
      const low = i16x8.narrow_i32x4_s(a, b)
      const high = i16x8.narrow_i32x4_s(c, d)
      v128.store(to + (at >> 2), i8x16.narrow_i16x8_s(low, high))
    }
    const total =
      i32x4.extract_lane(sum, 0) +
      i32x4.extract_lane(sum, 1) +
      i32x4.extract_lane(sum, 2) +
      i32x4.extract_lane(sum, 3)
    store<f32>(factors, scale)
    store<f32>(factors, 8 * scale * <f32>total, 4)
  }
}

/** max |x| of 32 floats. */
@inline
function largest(from: usize): f32 {
  let most = f32x4.abs(v128.load(from))
  for (let at: usize = 16; at < 128; at += 16) most = f32x4.max(most, f32x4.abs(v128.load(from + at)))
  return maxLane(most)
}


@inline
function rounded(from: usize, inverse: v128): v128 {
  return i32x4.trunc_sat_f32x4_s(f32x4.nearest(f32x4.mul(v128.load(from), inverse)))
}
