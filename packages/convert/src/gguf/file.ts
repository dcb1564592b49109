import { ConvertError } from '../convert-error.ts'
import type { ByteSource } from '../checkpoint/byte-source.ts'
import { finite } from '../checkpoint/finite.ts'
import { BLOCK_FORMATS } from './blocks.ts'
import type { BlockFormat } from './blocks.ts'
import { GgufReader } from './reader.ts'
import type { GgufValue } from './reader.ts'
import type { Checkpoint, StoredTensor } from '../checkpoint/stored-tensor.ts'

export interface GgufFile extends Checkpoint {
  readonly metadata: ReadonlyMap<string, GgufValue>
}

interface TensorInfo {
  readonly name: string
  /** Columns first, as ggml counts. */
  readonly sizes: readonly number[]
  readonly type: number
  readonly offset: number
}

/**
 * Reads the head of a GGUF file, version 2 or 3: metadata, and where the tensors lie. Weights are read when they are needed.
 * The file is the caller's; `dispose` closes it.
 */
export function readGguf(source: ByteSource): GgufFile {
  const reader = new GgufReader(source)
  if (source.bytes < 24 || reader.uint32() !== MAGIC) throw reader.damaged('it does not begin with "GGUF"')
  const version = reader.uint32()
  if (version !== 2 && version !== 3) throw reader.damaged(`its version ${version} is not one of 2, 3`)
  const numTensors = reader.uint64()
  const numValues = reader.uint64()
  // The smallest entries take 12 and 24 bytes: larger counts than the file has room for are lies.
  if (numValues > source.bytes / 12 || numTensors > source.bytes / 24)
    throw reader.damaged(`it says that it has ${numTensors} tensors and ${numValues} values, and is shorter`)
  const metadata = new Map<string, GgufValue>()
  for (let i = 0; i < numValues; i++) {
    const key = reader.string()
    metadata.set(key, reader.value(reader.uint32()))
  }
  const infos = Array.from({ length: numTensors }, () => tensorInfo(reader))
  const alignment = alignmentOf(reader, metadata)
  const dataBegin = Math.ceil(reader.offset / alignment) * alignment
  const tensors = new Map<string, StoredTensor>()
  for (const info of infos) {
    if (tensors.has(info.name)) throw reader.damaged(`it has the tensor ${JSON.stringify(info.name)} twice`)
    tensors.set(info.name, storedTensor(source, dataBegin, info))
  }
  return { metadata, tensors, dispose: () => source.dispose() }
}

const MAGIC = 0x46554747

function tensorInfo(reader: GgufReader): TensorInfo {
  const name = reader.string()
  const rank = reader.uint32()
  if (rank < 1 || rank > 4)
    throw reader.damaged(`its tensor ${JSON.stringify(name.slice(0, 100))} has rank ${rank}`)
  const sizes = Array.from({ length: rank }, () => reader.uint64())
  return { name, sizes, type: reader.uint32(), offset: reader.uint64() }
}

function alignmentOf(reader: GgufReader, metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? 32
  if (typeof alignment !== 'number' || alignment < 1 || alignment > 1 << 20 || alignment % 1 !== 0)
    throw reader.damaged('its alignment is no size')
  return alignment
}

function storedTensor(source: ByteSource, dataBegin: number, info: TensorInfo): StoredTensor {
  const { name, sizes } = info
  const shape = sizes.toReversed()
  const format = BLOCK_FORMATS[info.type]
  // A vector is one run of blocks; it is read as rows of one all the same.
  const columns = shape.length === 1 ? 1 : shape.slice(1).reduce((product, size) => product * size, 1)
  if (format === undefined) return unreadable(info, shape)
  const range = checkedRange(source, dataBegin, info, format)
  const raw = (from: number, to: number): Uint8Array<ArrayBuffer> => {
    const bytes = (weights: number): number => (weights / format.weights) * format.bytes
    return source.read(range + bytes(from * columns), bytes((to - from) * columns))
  }
  const { toQ4 } = format
  return {
    name,
    shape,
    type: format.name,
    read: (from, to) => finite(name, format.decode(raw(from, to))),
    blocks:
      toQ4 &&
      ((from, to) => {
        const q4 = toQ4(raw(from, to))
        finite(name, q4.scales)
        return q4
      }),
  }
}

/** Where the tensor begins in the file. */
function checkedRange(
  source: ByteSource,
  dataBegin: number,
  { name, sizes, offset }: TensorInfo,
  format: BlockFormat,
): number {
  const said = `${source.name} cannot be read as GGUF: its tensor ${JSON.stringify(name.slice(0, 100))}`
  const weights = sizes.reduce((product, size) => product * size, 1)
  if ((sizes[0] ?? 0) % format.weights !== 0)
    throw new ConvertError(
      `${said} has rows of ${sizes[0]}, no whole ${format.name} blocks of ${format.weights}`,
    )
  // A product of huge sizes is imprecise, and larger than any file all the same.
  const end = dataBegin + offset + (weights / format.weights) * format.bytes
  if (!(end <= source.bytes))
    throw new ConvertError(`${said} lies outside the file: it is cut off or damaged`, {
      kind: 'damaged',
      file: source.name,
    })
  return dataBegin + offset
}

/** Named only when somebody wants to read it: a file may have tensors that we do not need. */
function unreadable({ name, type }: TensorInfo, shape: readonly number[]): StoredTensor {
  const known = Object.values(BLOCK_FORMATS).map((format) => format.name)
  const read = (): never => {
    throw new ConvertError(
      `the tensor ${name} is of ggml type ${type}; only ${known.join(', ')} can be converted`,
    )
  }
  return { name, shape, type: `ggml type ${type}`, read }
}
