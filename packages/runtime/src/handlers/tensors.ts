import type { TensorValue, Tensors } from '@tabserve/protocol'
import { EngineError, elementsOf } from '@tabserve/protocol'

export function floats(shape: readonly number[], data: Float32Array): TensorValue {
  return { datatype: 'FP32', shape, data }
}

export function integers(shape: readonly number[], values: readonly number[]): TensorValue {
  return { datatype: 'INT64', shape, data: BigInt64Array.from(values, BigInt) }
}

/** Of a graph's outputs the one with the first of these names that there is, as float32. Throws `bad_model`. */
export function floatOutput(
  outputs: Tensors,
  ...names: readonly string[]
): { shape: readonly number[]; data: Float32Array } {
  const name = names.find((name) => outputs[name] !== undefined) ?? Object.keys(outputs)[0]
  const tensor = name === undefined ? undefined : outputs[name]
  if (tensor?.data instanceof Float32Array && tensor.data.length === elementsOf(tensor.shape))
    return { shape: tensor.shape, data: tensor.data }
  throw new EngineError(
    'bad_model',
    `The graph gives no float32 output ${names.join(' or ')}; it gives ${Object.keys(outputs).join(', ')}.`,
  )
}
