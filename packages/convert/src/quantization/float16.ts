/** IEEE half precision, bits in a Uint16Array: what JavaScript has no array for on Node 20. */
export function toFloat16(values: Float32Array): Uint16Array {
  const bits = new Uint32Array(values.buffer, values.byteOffset, values.length)
  const halves = new Uint16Array(bits.length)
  for (let i = 0; i < bits.length; i++) halves[i] = halfOf(bits[i]!) // `from` takes ten times as long, and memory
  return halves
}

/** Exact. */
export function fromFloat16(halves: Uint16Array): Float32Array {
  const floats = new Float32Array(halves.length)
  const bits = new Uint32Array(floats.buffer)
  for (let i = 0; i < halves.length; i++) {
    const half = halves[i]!
    const exponent = half & 0x7c00
    // A power for each number takes ten times as long; zeros, subnormal and infinite numbers are few.
    if (exponent === 0 || exponent === 0x7c00) floats[i] = floatOf(half)
    else bits[i] = ((half & 0x8000) << 16) | (((half & 0x7fff) + 0x1c000) << 13)
  }
  return floats
}

/** The number that these 16 bits mean. */
export function floatOf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 31
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}

/** To the nearest, ties to even; what is too large becomes infinite. */
function halfOf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000
  const magnitude = bits & 0x7fffffff
  if (magnitude > 0x7f800000) return sign | 0x7e00 // not a number
  if (magnitude >= 0x477ff000) return sign | 0x7c00 // 65520 and more
  if (magnitude < 0x38800000) return sign | subnormal(magnitude)
  const rounded = magnitude + 0xfff + ((magnitude >>> 13) & 1)
  return sign | ((rounded - 0x38000000) >>> 13)
}

/** Below 2^−14: whole steps of 2^−24. */
function subnormal(magnitude: number): number {
  const exponent = magnitude >>> 23
  if (exponent < 102) return 0 // half a step and less
  const shift = 126 - exponent
  const significand = (magnitude & 0x7fffff) | 0x800000
  const steps = significand >>> shift
  const rest = significand & ((1 << shift) - 1)
  const half = 1 << (shift - 1)
  return rest > half || (rest === half && steps % 2 === 1) ? steps + 1 : steps
}
