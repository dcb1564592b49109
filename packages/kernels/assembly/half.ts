/** fp32 → fp16 bits, to the nearest, ties to even; beyond 65504 infinity. After Fabian Giesen's float_to_half_fast3_rtne (public domain). */
export function toHalf(value: f32): u16 {
  let bits = reinterpret<u32>(value)
  const sign = bits & 0x80000000
  bits ^= sign
  let half: u32
  if (bits >= 0x47800000) {
    half = bits > 0x7f800000 ? 0x7e00 : 0x7c00
  } else if (bits < 0x38800000) {
    // The sum with a magic number rounds to the subnormal grid.
    half = reinterpret<u32>(reinterpret<f32>(bits) + 0.5) - 0x3f000000
  } else {
    const odd = (bits >> 13) & 1
    half = (bits + 0xc8000fff + odd) >> 13
  }
  return <u16>(half | (sign >> 16))
}
