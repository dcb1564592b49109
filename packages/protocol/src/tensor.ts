/** KServe v2's names. */
export type DataType =
  | 'BOOL'
  | 'UINT8'
  | 'UINT16'
  | 'UINT32'
  | 'UINT64'
  | 'INT8'
  | 'INT16'
  | 'INT32'
  | 'INT64'
  | 'FP16'
  | 'FP32'
  | 'FP64'
  | 'BYTES'

/** Arrays that hold numbers of a tensor. */
export type NumericArray =
  | Uint8Array
  | Uint16Array
  | Uint32Array
  | BigUint64Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array

/**
 * Numbers in the array of their type (FP16: `Uint16Array` of bits; INT64, UINT64: `BigInt64Array`, `BigUint64Array`; BOOL: `Uint8Array`), BYTES as strings.
 * Row-major; `data.length` is the product of `shape`.
 */
export interface TensorValue {
  readonly datatype: DataType
  readonly shape: readonly number[]
  readonly data: NumericArray | readonly string[]
}

/** Tensors by the names that a graph has for them. */
export type Tensors = Readonly<Record<string, TensorValue>>

/** What a graph takes or gives under a name. */
export interface TensorSpec {
  readonly name: string
  readonly datatype: DataType
  /** A fixed size, or the name of one that the caller chooses: one name is one size in all tensors of a request. `?`: any. Absent: the graph does not say. */
  readonly shape?: readonly (number | string)[]
}

/** The constructor of each type's array. */
export const TENSOR_ARRAYS = {
  BOOL: Uint8Array,
  UINT8: Uint8Array,
  UINT16: Uint16Array,
  UINT32: Uint32Array,
  UINT64: BigUint64Array,
  INT8: Int8Array,
  INT16: Int16Array,
  INT32: Int32Array,
  INT64: BigInt64Array,
  FP16: Uint16Array,
  FP32: Float32Array,
  FP64: Float64Array,
} as const satisfies Record<Exclude<DataType, 'BYTES'>, unknown>

/** Elements of a tensor of this shape; of a scalar, whose shape is `[]`, one. */
export function elementsOf(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1)
}

/** The buffers of tensors, each once: what moves instead of being copied. Shared memory is not among them. */
export function buffersOf(tensors: Tensors): ArrayBuffer[] {
  const buffers = new Set<ArrayBuffer>()
  for (const { data } of Object.values(tensors))
    if ('buffer' in data && data.buffer instanceof ArrayBuffer) buffers.add(data.buffer)
  return [...buffers]
}
