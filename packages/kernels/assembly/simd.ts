/** Small vector helpers. A v128 of floats is f32x4 throughout. */

/** a · b + c per lane; with relaxed SIMD in one rounding where the processor has it. */
@inline
export function madd(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c)
  return f32x4.add(f32x4.mul(a, b), c)
}

/** Four fp16 numbers at `address` as f32x4, exact, subnormals included: the bits are moved into place and the exponent is set right by 2^112. */
@inline
export function halves(address: usize): v128 {
  const bits = i32x4.shl(v128.load_ext<i16>(address), 13)
  return f32x4.mul(v128.and(bits, i32x4.splat(0x8fffe000)), f32x4.splat(5.192296858534828e33))
}

/** The sum of the four lanes, in a fixed order. */
@inline
export function sumLanes(v: v128): f32 {
  return (
    f32x4.extract_lane(v, 0) +
    f32x4.extract_lane(v, 1) +
    (f32x4.extract_lane(v, 2) + f32x4.extract_lane(v, 3))
  )
}

/** The largest of the four lanes. */
@inline
export function maxLane(v: v128): f32 {
  return max(
    max(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1)),
    max(f32x4.extract_lane(v, 2), f32x4.extract_lane(v, 3)),
  )
}
