import type { DataType, NumericArray, TensorValue } from '@tabserve/protocol'

/** What onnxruntime's JavaScript calls our types. */
export const ORT_TYPES = {
  BOOL: 'bool',
  UINT8: 'uint8',
  UINT16: 'uint16',
  UINT32: 'uint32',
  UINT64: 'uint64',
  INT8: 'int8',
  INT16: 'int16',
  INT32: 'int32',
  INT64: 'int64',
  FP16: 'float16',
  FP32: 'float32',
  FP64: 'float64',
  BYTES: 'string',
} as const satisfies Readonly<Record<DataType, string>>

const DATATYPES = new Map<string, DataType>(
  Object.entries(ORT_TYPES).map(([datatype, type]) => [type, datatype as DataType]),
)

/** A tensor of onnxruntime's, as one of ours. Throws a plain `Error` for a type that no array holds. @param what it is, for the message. */
export function fromOrt(
  what: string,
  { type, dims, data }: { readonly type: string; readonly dims: readonly number[]; readonly data: unknown },
): TensorValue {
  const datatype = DATATYPES.get(type)
  if (datatype === undefined) throw new Error(`${what} is of the type ${type}, which no array holds`)
  // Browsers with `Float16Array` get that of onnxruntime; to us halves are bits everywhere.
  const array = data as NumericArray | readonly string[]
  const bits =
    datatype === 'FP16' && 'buffer' in array && !(array instanceof Uint16Array)
      ? new Uint16Array(array.buffer, array.byteOffset, array.length)
      : array
  return { datatype, shape: [...dims], data: bits }
}
