import type { TensorValue } from '@tabserve/protocol'
import { ORT_TYPES } from '../backend/ort-types.ts'

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

export function toOrt({ datatype, data, shape }: TensorValue): OrtTensor {
  return new OrtTensor(ORT_TYPES[datatype], data, shape)
}
