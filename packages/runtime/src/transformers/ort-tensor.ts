import type { DataType, NumericArray, TensorValue } from '@tabserve/protocol'

/** A tensor as onnxruntime's JavaScript has it, in the CPU's memory: what transformers.js makes of it and looks for in what it gets. */
export class OrtTensor {
  readonly type: string
  readonly data: TensorValue['data']
  // The library writes it where it reshapes.
  dims: readonly number[]
  readonly location = 'cpu'

  /** Those that transformers.js makes with onnxruntime-common are tensors too. */
  static [Symbol.hasInstance](value: unknown): boolean {
    return (
      typeof value === 'object' &&
      value !== null &&
      'dims' in value &&
      'location' in value &&
      !('ort_tensor' in value)
    )
  }

  constructor(type: string, data: TensorValue['data'], dims: readonly number[]) {
    this.type = type
    this.data = data
    this.dims = dims
  }

  get size(): number {
    return this.data.length
  }

  get cpuData(): TensorValue['data'] {
    return this.data
  }

  getData(): Promise<TensorValue['data']> {
    return Promise.resolve(this.data)
  }

  /** Memory of JavaScript's own, which nobody has to free. */
  dispose(): void {}
}

const ORT_TYPES: Readonly<Record<DataType, string>> = {
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
}

/** What transformers.js feeds, as one of ours. */
export function fromOrt({ type, data, dims }: Pick<OrtTensor, 'type' | 'data' | 'dims'>): TensorValue {
  const datatype = (Object.keys(ORT_TYPES) as DataType[]).find((name) => ORT_TYPES[name] === type)
  if (datatype === undefined) throw new Error(`tensors of ${type} are not known`)
  return { datatype, shape: [...dims], data: bitsOf(data) }
}

export function toOrt({ datatype, data, shape }: TensorValue): OrtTensor {
  return new OrtTensor(ORT_TYPES[datatype], data, shape)
}

/** Where the browser has a Float16Array, the library uses it; ours are bits. */
function bitsOf(data: TensorValue['data']): TensorValue['data'] {
  if (data.constructor.name !== 'Float16Array') return data
  const { buffer, byteOffset, length } = data as unknown as NumericArray
  return new Uint16Array(buffer, byteOffset, length)
}
