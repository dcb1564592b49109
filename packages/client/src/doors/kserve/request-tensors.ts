import type { DataType, NumericArray, TensorValue, Tensors } from '@tabserve/protocol'
import { TENSOR_ARRAYS, elementsOf } from '@tabserve/protocol'
import { wrong } from '../openai/fields.ts'

/** The tensors of a request: JSON lists, nested or flat, typed arrays as they are, or bytes behind the JSON. Throws `bad_request`. */
export function requestTensors(inputs: unknown, binary: Uint8Array<ArrayBuffer>): Tensors {
  if (!Array.isArray(inputs)) throw wrong('inputs', 'must be a list of tensors.')
  let at = 0
  const take = (numBytes: number, where: string) => {
    const bytes = binary.slice(at, at + numBytes)
    if (bytes.length !== numBytes) throw wrong(where, 'has fewer bytes behind the JSON than it says.')
    at += numBytes
    return bytes
  }
  const tensors = inputs.map((input: unknown, index) => readTensor(input, `inputs[${index}]`, take))
  if (at !== binary.length) throw wrong('inputs', `leave ${binary.length - at} bytes behind the JSON unread.`)
  return Object.fromEntries(tensors)
}

type Take = (numBytes: number, where: string) => Uint8Array<ArrayBuffer>

function readTensor(input: unknown, where: string, take: Take): readonly [string, TensorValue] {
  const { name, datatype, shape, data, parameters } = (input ?? {}) as Record<string, unknown>
  if (typeof name !== 'string') throw wrong(`${where}.name`, 'must be a text.')
  if (!isDataType(datatype))
    throw wrong(`${where}.datatype`, `must be one of ${Object.keys(TENSOR_ARRAYS).join(', ')}, BYTES.`)
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && (size as number) >= 0))
    throw wrong(`${where}.shape`, 'must be a list of sizes.')
  const sizes = shape as number[]
  const size = (parameters as { binary_data_size?: unknown } | null | undefined)?.binary_data_size
  const values =
    size === undefined
      ? listed(data, datatype, `${where}.data`)
      : fromBytes(take(Number(size), where), datatype, where)
  if (values.length !== elementsOf(sizes))
    throw wrong(`${where}.data`, `has ${values.length} elements; the shape has ${elementsOf(sizes)}.`)
  return [name, { datatype, shape: sizes, data: values }]
}

function isDataType(value: unknown): value is DataType {
  return value === 'BYTES' || (typeof value === 'string' && Object.hasOwn(TENSOR_ARRAYS, value))
}

function listed(data: unknown, datatype: DataType, where: string): TensorValue['data'] {
  if (datatype !== 'BYTES' && data instanceof TENSOR_ARRAYS[datatype]) return data
  if (!Array.isArray(data)) throw wrong(where, 'must be a list, or a typed array of the datatype.')
  const flat = data.flat(Infinity) as unknown[]
  if (datatype === 'BYTES') {
    if (flat.every((value) => typeof value === 'string')) return flat
    throw wrong(where, 'must hold texts.')
  }
  if (datatype === 'FP16')
    throw wrong(where, 'cannot hold FP16, which JSON has no numbers for: send it as binary data.')
  if (!flat.every((value) => typeof value === 'number' || typeof value === 'boolean'))
    throw wrong(where, 'must hold numbers.')
  return toArray(flat.map(Number), datatype, where)
}

function toArray(
  values: readonly number[],
  datatype: Exclude<DataType, 'BYTES'>,
  where: string,
): NumericArray {
  if (datatype === 'INT64' || datatype === 'UINT64') {
    if (!values.every(Number.isSafeInteger)) throw wrong(where, 'must hold whole numbers.')
    const wide = values.map(BigInt)
    return datatype === 'INT64' ? BigInt64Array.from(wide) : BigUint64Array.from(wide)
  }
  const array = TENSOR_ARRAYS[datatype].from(values)
  const isReal = datatype === 'FP32' || datatype === 'FP64'
  const isKept = isReal || values.every((value, index) => array[index] === value)
  if (!isKept) throw wrong(where, `holds a value that ${datatype} does not have.`)
  return array
}

/** Little-endian; texts each behind its length in four bytes. */
function fromBytes(bytes: Uint8Array<ArrayBuffer>, datatype: DataType, where: string): TensorValue['data'] {
  if (datatype === 'BYTES') return textsIn(bytes, where)
  const Type = TENSOR_ARRAYS[datatype]
  if (bytes.length % Type.BYTES_PER_ELEMENT !== 0)
    throw wrong(where, `has ${bytes.length} bytes, which is no ${datatype}.`)
  return new Type(bytes.buffer)
}

function textsIn(bytes: Uint8Array<ArrayBuffer>, where: string): string[] {
  const view = new DataView(bytes.buffer)
  const texts: string[] = []
  for (let at = 0; at < bytes.length;) {
    const length = at + 4 <= bytes.length ? view.getUint32(at, true) : Infinity
    if (at + 4 + length > bytes.length) throw wrong(where, 'ends in the middle of a text.')
    texts.push(new TextDecoder().decode(bytes.subarray(at + 4, at + 4 + length)))
    at += 4 + length
  }
  return texts
}
