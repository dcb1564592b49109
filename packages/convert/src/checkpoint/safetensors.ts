import { isIndex, isRecord } from '@tabserve/protocol'
import { ConvertError } from '../convert-error.ts'
import { fromFloat16 } from '../quantization/float16.ts'
import type { ByteSource } from './byte-source.ts'
import { finite } from './finite.ts'
import type { StoredTensor } from './stored-tensor.ts'

/** What a safetensors file calls its numbers, and the fp32 that they are. */
const DTYPES: Readonly<
  Record<string, { readonly bytes: number; read(raw: Uint8Array<ArrayBuffer>): Float32Array }>
> = {
  F32: { bytes: 4, read: (raw) => new Float32Array(raw.buffer) },
  F16: { bytes: 2, read: (raw) => fromFloat16(new Uint16Array(raw.buffer)) },
  BF16: { bytes: 2, read: (raw) => fromBfloat16(new Uint16Array(raw.buffer)) },
}

/**
 * Lists the tensors of a safetensors file (github.com/huggingface/safetensors): 8 bytes that say how long the header is, a JSON
 * header, then the tensors. Only the header is read; all that it says is checked against the size of the file.
 */
export function readSafetensors(source: ByteSource): StoredTensor[] {
  const header = readHeader(source)
  return Object.entries(header.tensors)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, entry]) => storedTensor(source, header.end, name, entry))
}

/** bfloat16 is the upper half of a float32. */
export function fromBfloat16(halves: Uint16Array): Float32Array {
  const bits = new Uint32Array(halves.length)
  for (let i = 0; i < halves.length; i++) bits[i] = halves[i]! << 16
  return new Float32Array(bits.buffer)
}

function readHeader(source: ByteSource): {
  readonly tensors: Readonly<Record<string, unknown>>
  readonly end: number
} {
  if (source.bytes < 8) throw notSafetensors(source, `it has only ${source.bytes} bytes`)
  const length = Number(new DataView(source.read(0, 8).buffer).getBigUint64(0, true))
  if (length > Math.min(source.bytes - 8, LONGEST_HEADER))
    throw notSafetensors(source, `its header of ${length} bytes does not fit into it`)
  try {
    const tensors: unknown = JSON.parse(
      new TextDecoder('utf-8', { fatal: true }).decode(source.read(8, length)),
    )
    if (isRecord(tensors)) return { tensors, end: 8 + length }
  } catch {
    // Not JSON, not UTF-8: said below in our words.
  }
  throw notSafetensors(source, 'its header is not a JSON object')
}

function storedTensor(source: ByteSource, dataBegin: number, name: string, entry: unknown): StoredTensor {
  const { dtype, shape, offsets } = checked(source, dataBegin, name, entry)
  const format = DTYPES[dtype]
  const rows = shape[0] ?? 1
  const rowLength = shape.slice(1).reduce((product, size) => product * size, 1)
  const [begin, end] = offsets
  if (format !== undefined && end - begin !== rows * rowLength * format.bytes)
    throw notSafetensors(source, `the tensor ${JSON.stringify(name)} has another size than its shape says`)
  const read = (from: number, to: number): Float32Array => {
    if (format === undefined)
      throw new ConvertError(
        `the tensor ${name} is of type ${dtype}; only F32, F16 and BF16 can be converted`,
      )
    const rowBytes = rowLength * format.bytes
    return finite(name, format.read(source.read(dataBegin + begin + from * rowBytes, (to - from) * rowBytes)))
  }
  return { name, shape, type: dtype, read }
}

function checked(source: ByteSource, dataBegin: number, name: string, entry: unknown) {
  const wrong = (what: string): ConvertError =>
    notSafetensors(source, `the tensor ${JSON.stringify(name.slice(0, 100))} ${what}`)
  if (!isRecord(entry)) throw wrong('is not described by an object')
  const { dtype, shape, data_offsets: offsets } = entry
  if (typeof dtype !== 'string') throw wrong('has no dtype')
  if (!Array.isArray(shape) || shape.length > 8 || !shape.every(isIndex)) throw wrong('has no shape')
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isIndex))
    throw wrong('has no offsets')
  const [begin, end] = offsets as [number, number]
  if (begin > end || dataBegin + end > source.bytes)
    throw wrong('lies outside the file: it is cut off or damaged')
  return { dtype, shape: shape as number[], offsets: [begin, end] as const }
}

function notSafetensors(source: ByteSource, reason: string): ConvertError {
  const message = `${source.name} cannot be read as safetensors: ${reason}`
  return new ConvertError(message, { kind: 'damaged', file: source.name })
}

/** What the reference implementation allows. */
const LONGEST_HEADER = 100_000_000
