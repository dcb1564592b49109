import { floatOf, fromFloat16 } from '../quantization/float16.ts'
import type { Q4Matrix } from '../quantization/q4-matrix.ts'
import { fromBfloat16 } from '../checkpoint/safetensors.ts'

/** How a GGUF file stores weights: in blocks along the rows (ggml-quants.c in github.com/ggml-org/llama.cpp has their layouts). */
export interface BlockFormat {
  readonly name: string
  /** Weights in a block, and its bytes. */
  readonly weights: number
  readonly bytes: number
  readonly decode: (raw: Uint8Array<ArrayBuffer>) => Float32Array
  /** The same blocks as ours, where that loses nothing. */
  readonly toQ4?: (raw: Uint8Array<ArrayBuffer>) => Q4Matrix
}

/** By the number of ggml's type. */
export const BLOCK_FORMATS: Readonly<Record<number, BlockFormat>> = {
  0: { name: 'F32', weights: 1, bytes: 4, decode: (raw) => new Float32Array(raw.buffer) },
  1: { name: 'F16', weights: 1, bytes: 2, decode: (raw) => fromFloat16(new Uint16Array(raw.buffer)) },
  2: { ...blocks('Q4_0', 32, 18, decodeQ4_0), toQ4: carryQ4_0 },
  3: blocks('Q4_1', 32, 20, decodeQ4_1),
  8: blocks('Q8_0', 32, 34, decodeQ8_0),
  12: blocks('Q4_K', 256, 144, decodeQ4_K),
  13: blocks('Q5_K', 256, 176, decodeQ5_K),
  14: blocks('Q6_K', 256, 210, decodeQ6_K),
  30: { name: 'BF16', weights: 1, bytes: 2, decode: (raw) => fromBfloat16(new Uint16Array(raw.buffer)) },
}

type DecodeBlock = (block: Uint8Array, half: (byte: number) => number, target: Float32Array) => void

function blocks(name: string, weights: number, bytes: number, decodeBlock: DecodeBlock): BlockFormat {
  return {
    name,
    weights,
    bytes,
    decode: (raw) => {
      const decoded = new Float32Array((raw.length / bytes) * weights)
      for (let block = 0; block < raw.length / bytes; block++) {
        const bytesOfIt = raw.subarray(block * bytes, (block + 1) * bytes)
        const half = (byte: number): number => floatOf(bytesOfIt[byte]! | (bytesOfIt[byte + 1]! << 8))
        decodeBlock(bytesOfIt, half, decoded.subarray(block * weights, (block + 1) * weights))
      }
      return decoded
    },
  }
}

/** scale f16, 16 bytes: element j in the low nibble of byte j, element j + 16 in the high one. */
function decodeQ4_0(block: Uint8Array, half: (byte: number) => number, target: Float32Array): void {
  const scale = half(0)
  for (let j = 0; j < 16; j++) {
    const byte = block[2 + j]!
    target[j] = ((byte & 15) - 8) * scale
    target[j + 16] = ((byte >> 4) - 8) * scale
  }
}

/** The same numbers in our order of nibbles; a half-precision scale is exact in fp32. */
function carryQ4_0(raw: Uint8Array<ArrayBuffer>): Q4Matrix {
  const numBlocks = raw.length / 18
  const values = new Uint8Array(numBlocks * 16)
  const scales = new Float32Array(numBlocks)
  for (let block = 0; block < numBlocks; block++) {
    const begin = block * 18
    scales[block] = floatOf(raw[begin]! | (raw[begin + 1]! << 8))
    for (let j = 0; j < 8; j++) {
      const first = raw[begin + 2 + 2 * j]!
      const second = raw[begin + 3 + 2 * j]!
      values[block * 16 + j] = (first & 15) | ((second & 15) << 4)
      values[block * 16 + j + 8] = (first >> 4) | (second & 0xf0)
    }
  }
  return { values, scales }
}

/** scale and minimum f16, nibbles as in Q4_0. */
function decodeQ4_1(block: Uint8Array, half: (byte: number) => number, target: Float32Array): void {
  const scale = half(0)
  const minimum = half(2)
  for (let j = 0; j < 16; j++) {
    const byte = block[4 + j]!
    target[j] = (byte & 15) * scale + minimum
    target[j + 16] = (byte >> 4) * scale + minimum
  }
}

/** scale f16, 32 int8. */
function decodeQ8_0(block: Uint8Array, half: (byte: number) => number, target: Float32Array): void {
  const scale = half(0)
  for (let j = 0; j < 32; j++) target[j] = ((block[2 + j]! << 24) >> 24) * scale
}

/** f16 scale of scales and of minimums, 12 bytes of 6-bit scales and minimums of 8 groups of 32, 128 bytes of nibbles. */
function decodeQ4_K(block: Uint8Array, half: (byte: number) => number, target: Float32Array): void {
  const { scales, minimums } = groupScales(block, half)
  for (let group = 0; group < 8; group++) {
    const shift = (group % 2) * 4
    const nibbles = 16 + (group >> 1) * 32
    for (let j = 0; j < 32; j++)
      target[group * 32 + j] = scales[group]! * ((block[nibbles + j]! >> shift) & 15) - minimums[group]!
  }
}

/** As Q4_K, and 32 bytes with the fifth bits before the nibbles: bit g of byte j belongs to element j of group g. */
function decodeQ5_K(block: Uint8Array, half: (byte: number) => number, target: Float32Array): void {
  const { scales, minimums } = groupScales(block, half)
  for (let group = 0; group < 8; group++) {
    const shift = (group % 2) * 4
    const nibbles = 48 + (group >> 1) * 32
    for (let j = 0; j < 32; j++) {
      const high = ((block[16 + j]! >> group) & 1) << 4
      const quant = ((block[nibbles + j]! >> shift) & 15) | high
      target[group * 32 + j] = scales[group]! * quant - minimums[group]!
    }
  }
}

/** 6 bits each: groups 0–3 in the low bits of bytes 0–3 and 4–7, groups 4–7 in bytes 8–11 and the two high bits of bytes 0–7. */
function groupScales(block: Uint8Array, half: (byte: number) => number) {
  const scales = new Float64Array(8)
  const minimums = new Float64Array(8)
  for (let group = 0; group < 8; group++) {
    const low = block[4 + group]!
    const middle = block[4 + (group & 3) + 4]!
    const scale = group < 4 ? low & 63 : (block[8 + group]! & 15) | ((block[group]! >> 6) << 4)
    const minimum = group < 4 ? middle & 63 : (block[8 + group]! >> 4) | ((middle >> 6) << 4)
    scales[group] = half(0) * scale
    minimums[group] = half(2) * minimum
  }
  return { scales, minimums }
}

/** 128 bytes of low nibbles, 64 of high pairs of bits, 16 int8 scales of 16 weights each, f16 scale; in two halves of 128 weights. */
function decodeQ6_K(block: Uint8Array, half: (byte: number) => number, target: Float32Array): void {
  const scale = half(208)
  for (let i = 0; i < 256; i++) {
    const part = i >> 7
    const quarter = (i >> 5) & 3
    const j = i & 31
    const nibble = (block[part * 64 + (quarter & 1) * 32 + j]! >> ((quarter >> 1) * 4)) & 15
    const high = (block[128 + part * 32 + j]! >> (quarter * 2)) & 3
    const group = (block[192 + (i >> 4)]! << 24) >> 24
    target[i] = scale * group * ((nibble | (high << 4)) - 32)
  }
}
