/**
 * One block of a GGUF tensor, number by number, after the loops of ggml-quants.c (`dequantize_row_*`), which walk pointers where
 * `convert` computes places. Fractions are ggml's: scales in float32, the rest exact.
 */
export function slowBlock(name: string, block: Uint8Array): number[] {
  switch (name) {
    case 'Q4_0':
      return halves(block.slice(2), (nibble) => (nibble - 8) * half(block, 0))
    case 'Q4_1':
      return halves(block.slice(4), (nibble) => nibble * half(block, 0) + half(block, 2))
    case 'Q8_0':
      return [...new Int8Array(block.slice(2).buffer)].map((value) => value * half(block, 0))
    case 'Q4_K':
      return q4K(block)
    case 'Q5_K':
      return q5K(block)
    case 'Q6_K':
      return q6K(block)
    default:
      throw new Error(`no ${name} here`)
  }
}

function halves(nibbles: Uint8Array, value: (nibble: number) => number): number[] {
  return [...[...nibbles].map((byte) => value(byte % 16)), ...[...nibbles].map((byte) => value(byte >> 4))]
}

function q4K(block: Uint8Array): number[] {
  const y: number[] = []
  let q = 16
  for (let is = 0; is < 8; is += 2) {
    const [d1, m1] = scaleAndMinimum(block, is)
    const [d2, m2] = scaleAndMinimum(block, is + 1)
    for (let l = 0; l < 32; l++) y.push(d1 * (block[q + l]! & 0xf) - m1)
    for (let l = 0; l < 32; l++) y.push(d2 * (block[q + l]! >> 4) - m2)
    q += 32
  }
  return y
}

function q5K(block: Uint8Array): number[] {
  const y: number[] = []
  let ql = 48
  let u1 = 1
  let u2 = 2
  for (let is = 0; is < 8; is += 2) {
    const [d1, m1] = scaleAndMinimum(block, is)
    const [d2, m2] = scaleAndMinimum(block, is + 1)
    const high = (l: number, mask: number): number => ((block[16 + l]! & mask) !== 0 ? 16 : 0)
    for (let l = 0; l < 32; l++) y.push(d1 * ((block[ql + l]! & 0xf) + high(l, u1)) - m1)
    for (let l = 0; l < 32; l++) y.push(d2 * ((block[ql + l]! >> 4) + high(l, u2)) - m2)
    ql += 32
    u1 <<= 2
    u2 <<= 2
  }
  return y
}

/** `get_scale_min_k4` */
function scaleAndMinimum(block: Uint8Array, j: number): [number, number] {
  const q = block.slice(4, 16)
  const [scale, minimum] =
    j < 4
      ? [q[j]! & 63, q[j + 4]! & 63]
      : [(q[j + 4]! & 0xf) | ((q[j - 4]! >> 6) << 4), (q[j + 4]! >> 4) | ((q[j]! >> 6) << 4)]
  return [half(block, 0) * scale, half(block, 2) * minimum]
}

function q6K(block: Uint8Array): number[] {
  const y = new Array<number>(256)
  const d = half(block, 208)
  const scales = new Int8Array(block.slice(192, 208).buffer)
  let ql = 0
  let qh = 128
  let sc = 0
  for (let n = 0; n < 256; n += 128) {
    for (let l = 0; l < 32; l++) {
      const is = sc + Math.trunc(l / 16)
      const bits = block[qh + l]!
      const q1 = ((block[ql + l]! & 0xf) | (((bits >> 0) & 3) << 4)) - 32
      const q2 = ((block[ql + l + 32]! & 0xf) | (((bits >> 2) & 3) << 4)) - 32
      const q3 = ((block[ql + l]! >> 4) | (((bits >> 4) & 3) << 4)) - 32
      const q4 = ((block[ql + l + 32]! >> 4) | (((bits >> 6) & 3) << 4)) - 32
      y[n + l] = d * scales[is]! * q1
      y[n + l + 32] = d * scales[is + 2]! * q2
      y[n + l + 64] = d * scales[is + 4]! * q3
      y[n + l + 96] = d * scales[is + 6]! * q4
    }
    ql += 64
    qh += 32
    sc += 8
  }
  return y
}

/** A half-precision number from its sign, exponent and fraction. */
function half(block: Uint8Array, at: number): number {
  const bits = block[at]! + 256 * block[at + 1]!
  const sign = bits >= 0x8000 ? -1 : 1
  const exponent = Math.trunc(bits / 1024) % 32
  const fraction = (bits % 1024) / 1024
  return exponent === 0 ? sign * fraction * 2 ** -14 : sign * (1 + fraction) * 2 ** (exponent - 15)
}
