import type { DataType, TensorSpec } from '@tabserve/protocol'
import type { OnnxGraph, OnnxValue } from './onnx-graph.ts'

/** TensorProto.DataType, as far as tensors of it can be fed. */
const DATATYPES: Readonly<Record<number, DataType>> = {
  1: 'FP32',
  2: 'UINT8',
  3: 'INT8',
  4: 'UINT16',
  5: 'INT16',
  6: 'INT32',
  7: 'INT64',
  8: 'BYTES',
  9: 'BOOL',
  10: 'FP16',
  11: 'FP64',
  12: 'UINT32',
  13: 'UINT64',
}

/** What a graph takes and gives. Throws a plain `Error` for a type that no array holds. */
export function signatureOf({ inputs, outputs }: OnnxGraph): {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
} {
  return { inputs: inputs.map(specOf), outputs: outputs.map(specOf) }
}

function specOf({ name, type, shape }: OnnxValue): TensorSpec {
  const datatype = DATATYPES[type]
  if (datatype === undefined) throw new Error(`${name} is of the ONNX type ${type}, which no array holds`)
  return { name, datatype, ...(shape === undefined ? {} : { shape }) }
}
