import { ATTRIBUTE_TYPE, DATA_TYPE, onnxModel } from '../../packages/convert/src/onnx/schema.ts'
import type {
  AttributeProto,
  GraphProto,
  ModelProto,
  NodeProto,
  TensorProto,
  ValueInfoProto,
} from '../../packages/convert/src/onnx/schema.ts'

/**
 * Both passes of a decoder in one file, as optimum merges them: an `If` on `use_cache_branch` whose branches are the two graphs, and outside of it the weights,
 * once. The branch with a cache has nothing to say of the encoder's keys and values: it gives empty ones.
 */
export function mergeDecoders(first: Uint8Array, next: Uint8Array): Uint8Array<ArrayBuffer> {
  const model = onnxModel.decode(first) as ModelProto
  const [without, withPast] = [model.graph, (onnxModel.decode(next) as ModelProto).graph]
  const lacking = without.output.filter(({ name }) => withPast.output.every((each) => each.name !== name))
  const graph: GraphProto = {
    name: 'merged',
    node: [
      {
        name: 'optimum::if',
        opType: 'If',
        domain: '',
        input: [BRANCH],
        output: without.output.map(({ name }) => name),
        attribute: [
          branch('then_branch', filledUp(withPast, lacking, without.output)),
          branch('else_branch', without),
        ],
      },
    ],
    initializer: once([...without.initializer, ...withPast.initializer, ...lacking.map(sizesOf)]),
    input: [...once([...without.input, ...withPast.input]), flag(BRANCH)],
    output: without.output,
  }
  return Uint8Array.from(onnxModel.encode({ ...model, graph }))
}

const BRANCH = 'use_cache_branch'
/** TensorProto.DataType.BOOL. */
const BOOL = 9

/** Its inputs and weights are those of the graph around it. */
function branch(name: string, { node, output }: GraphProto): AttributeProto {
  return { name, type: ATTRIBUTE_TYPE.graph, g: { name, node, initializer: [], input: [], output } }
}

/** With the outputs that it lacks, empty, all of them in the order of `wanted`. */
function filledUp(
  graph: GraphProto,
  lacking: readonly ValueInfoProto[],
  wanted: readonly ValueInfoProto[],
): GraphProto {
  const empty = lacking.map(({ name }): NodeProto => ({
    name,
    opType: 'ConstantOfShape',
    domain: '',
    input: [`${name}.sizes`],
    output: [name],
    attribute: [],
  }))
  return { ...graph, node: [...graph.node, ...empty], output: wanted }
}

/** The shape of an empty output: 0 wherever its size is not fixed. */
function sizesOf({ name, type }: ValueInfoProto): TensorProto {
  const sizes = type.tensorType.shape.dim.map((size) => ('dimValue' in size ? BigInt(size.dimValue) : 0n))
  return {
    name: `${name}.sizes`,
    dims: [sizes.length],
    dataType: DATA_TYPE.int64,
    rawData: new Uint8Array(BigInt64Array.from(sizes).buffer),
  }
}

function flag(name: string): ValueInfoProto {
  return { name, type: { tensorType: { elemType: BOOL, shape: { dim: [{ dimValue: 1 }] } } } }
}

/** Weights of one name are one weight in both graphs. */
function once<T extends { readonly name: string }>(values: readonly T[]): T[] {
  return [...new Map(values.map((value) => [value.name, value])).values()]
}
