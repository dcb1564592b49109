/** Half-precision numbers to floats, exactly, by a table of all of them: logits are a vocabulary's size, and come with every token. */
export class HalfTable {
  readonly #floats = Float32Array.from({ length: 2 ** 16 }, (_, half) => floatOf(half))

  floatsOf(halves: Uint16Array): Float32Array {
    const floats = new Float32Array(halves.length)
    for (let index = 0; index < halves.length; index++)
      floats[index] = this.#floats[halves[index] ?? 0] ?? NaN
    return floats
  }
}

/** The number that these 16 bits mean. */
function floatOf(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 31
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15)
}
