import { toFloat16 } from '../src/quantization/float16.ts'

export interface PlainTensor {
  readonly shape: readonly number[]
  readonly data: Float32Array
}
export type SafetensorsType = 'F32' | 'F16' | 'BF16'

/** A safetensors file, written from its description in github.com/huggingface/safetensors. */
export function safetensorsBytes(
  tensors: ReadonlyMap<string, PlainTensor>,
  dtype: SafetensorsType = 'F32',
): Uint8Array {
  const header: Record<string, unknown> = { __metadata__: { format: 'pt' } }
  const parts: Uint8Array[] = []
  let offset = 0
  for (const [name, { shape, data }] of tensors) {
    const bytes = encode(data, dtype)
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] }
    offset += bytes.length
    parts.push(bytes)
  }
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  return Buffer.concat([length, json, ...parts])
}

function encode(data: Float32Array, dtype: SafetensorsType): Uint8Array {
  if (dtype === 'F32') return new Uint8Array(data.slice().buffer)
  if (dtype === 'F16') return new Uint8Array(toFloat16(data).buffer)
  const bits = new Uint32Array(data.slice().buffer)
  return new Uint8Array(Uint16Array.from(bits, (value) => value >>> 16).buffer)
}
