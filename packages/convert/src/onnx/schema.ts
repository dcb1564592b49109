import { messageCodec } from '../protobuf.ts'

/** The part of onnx.proto that we write and read, with its official field numbers (github.com/onnx/onnx, onnx/onnx.proto). */
export const onnxModel = messageCodec(
  {
    ModelProto: {
      irVersion: ['int64', 1],
      producerName: ['string', 2],
      producerVersion: ['string', 3],
      graph: ['GraphProto', 7],
      opsetImport: ['repeated', 'OperatorSetIdProto', 8],
    },
    OperatorSetIdProto: { domain: ['string', 1], version: ['int64', 2] },
    GraphProto: {
      node: ['repeated', 'NodeProto', 1],
      name: ['string', 2],
      initializer: ['repeated', 'TensorProto', 5],
      input: ['repeated', 'ValueInfoProto', 11],
      output: ['repeated', 'ValueInfoProto', 12],
    },
    NodeProto: {
      input: ['repeated', 'string', 1],
      output: ['repeated', 'string', 2],
      name: ['string', 3],
      opType: ['string', 4],
      attribute: ['repeated', 'AttributeProto', 5],
      domain: ['string', 7],
    },
    AttributeProto: {
      name: ['string', 1],
      f: ['float', 2],
      i: ['int64', 3],
      g: ['GraphProto', 6],
      ints: ['repeated', 'int64', 8],
      type: ['int32', 20],
    },
    TensorProto: {
      dims: ['repeated', 'int64', 1],
      dataType: ['int32', 2],
      name: ['string', 8],
      rawData: ['bytes', 9],
      externalData: ['repeated', 'StringStringEntryProto', 13],
      dataLocation: ['int32', 14],
    },
    StringStringEntryProto: { key: ['string', 1], value: ['string', 2] },
    ValueInfoProto: { name: ['string', 1], type: ['TypeProto', 2] },
    TypeProto: { tensorType: ['TensorTypeProto', 1] },
    TensorTypeProto: { elemType: ['int32', 1], shape: ['TensorShapeProto', 2] },
    TensorShapeProto: { dim: ['repeated', 'DimensionProto', 1] },
    DimensionProto: { dimValue: ['int64', 1], dimParam: ['string', 2] },
  },
  'ModelProto',
)

/** TensorProto.DataType. */
export const DATA_TYPE = { float32: 1, uint8: 2, int8: 3, int32: 6, int64: 7, float16: 10 } as const

/** AttributeProto.AttributeType. */
export const ATTRIBUTE_TYPE = { float: 1, int: 2, graph: 5, ints: 7 } as const

/** TensorProto.DataLocation.EXTERNAL. */
export const EXTERNAL = 1

export interface TensorProto {
  readonly name: string
  readonly dims: readonly number[]
  readonly dataType: number
  readonly rawData?: Uint8Array
  readonly dataLocation?: number
  readonly externalData?: readonly { readonly key: string; readonly value: string }[]
}

export interface AttributeProto {
  readonly name: string
  readonly type: number
  readonly f?: number
  readonly i?: number
  readonly g?: GraphProto
  readonly ints?: readonly number[]
}

export interface NodeProto {
  readonly name: string
  readonly opType: string
  readonly domain: string
  readonly input: readonly string[]
  readonly output: readonly string[]
  readonly attribute: readonly AttributeProto[]
}

export interface ValueInfoProto {
  readonly name: string
  readonly type: {
    readonly tensorType: {
      readonly elemType: number
      readonly shape: {
        readonly dim: readonly ({ readonly dimValue: number } | { readonly dimParam: string })[]
      }
    }
  }
}

export interface ModelProto {
  readonly irVersion: number
  readonly producerName: string
  readonly opsetImport: readonly { readonly domain: string; readonly version: number }[]
  readonly graph: GraphProto
}

export interface GraphProto {
  readonly name: string
  readonly node: readonly NodeProto[]
  readonly initializer: readonly TensorProto[]
  readonly input: readonly ValueInfoProto[]
  readonly output: readonly ValueInfoProto[]
}
