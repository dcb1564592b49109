import { ConvertError } from '../convert-error.ts'

/** The same weights, all of them numbers: a model with one that is not says nothing but garbage. */
export function finite(name: string, data: Float32Array): Float32Array {
  for (let i = 0; i < data.length; i++) {
    if (!Number.isFinite(data[i]))
      throw new ConvertError(`the checkpoint holds numbers in "${name}" that are not finite`)
  }
  return data
}
