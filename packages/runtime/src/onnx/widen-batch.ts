import type { OnnxGraph, OnnxNode, OnnxValue } from './onnx-graph.ts'
import { field, rewriteMessage } from './rewrite-message.ts'
import { WireReader } from './wire-reader.ts'

/** What the dimension of rows is called then. */
export const WIDENED = 'batch'

/** Graphs are copied for it. */
const MOST_BYTES = 2 ** 26

/**
 * A graph that was exported for one row, for any number of them: the first dimension of what goes in and out is opened, and shapes that the graph writes out
 * keep it. One row is computed as before. `undefined` where the graph has no such dimension, or uses a shape in another way. Whether rows are independent of each
 * other no list of operators can say: who uses it compares.
 */
export function widenBatch(bytes: Uint8Array, { inputs, outputs, nodes }: OnnxGraph): Uint8Array | undefined {
  const isOne = ({ shape }: OnnxValue) => shape !== undefined && shape.length > 1 && shape[0] === 1
  if (bytes.length > MOST_BYTES || inputs.length === 0) return undefined
  if (!inputs.every(isOne) || !outputs.every(isOne)) return undefined
  const shapes = shapesOf(nodes, new Set(inputs.map(({ name }) => name)))
  if (shapes === undefined) return undefined
  const names = new Set([...inputs, ...outputs].map(({ name }) => name))
  const openValue = (value: Uint8Array) => (names.has(nameIn(value, 1)) ? openFirst(value) : value)
  try {
    return rewriteMessage(bytes, {
      7: (graph) =>
        rewriteMessage(graph, {
          1: (node) => (shapes.has(nameIn(node, 2)) ? openConstant(node) : node),
          5: (tensor) => (shapes.has(nameIn(tensor, 8)) ? openShape(tensor) : tensor),
          11: openValue,
          12: openValue,
          13: () => undefined, // what is said of sizes in between is true of one row only
        }),
    })
  } catch (error) {
    if (error instanceof CannotWiden) return undefined
    throw error
  }
}

class CannotWiden extends Error {}

/** The shapes that `Reshape` gives to what comes from the inputs. `undefined`: one of them is used otherwise, too. */
function shapesOf(nodes: readonly OnnxNode[], inputs: ReadonlySet<string>): ReadonlySet<string> | undefined {
  const fed = new Set(inputs)
  const shapes = new Set<string>()
  const others = new Set<string>()
  // Nodes stand in an order in which they can be computed.
  for (const { opType, inputs: names, outputs } of nodes) {
    const isFed = names.some((name) => fed.has(name))
    if (isFed) for (const output of outputs) fed.add(output)
    const [data, shape] = names
    const isReshape = opType === 'Reshape' && data !== undefined && fed.has(data)
    if (isReshape && shape !== undefined && !fed.has(shape)) shapes.add(shape)
    for (const name of isReshape ? [data] : names) others.add(name)
  }
  return [...shapes].some((name) => others.has(name)) ? undefined : shapes
}

/** The first string in a field of a message; `''`: none. */
function nameIn(message: Uint8Array, number: number): string {
  const names: string[] = []
  const reader = new WireReader(message)
  reader.readFields({ [number]: () => names.push(reader.text()) })
  return names[0] ?? ''
}

/** ValueInfoProto → TypeProto → Tensor → TensorShapeProto, whose first dimension gets a name. */
function openFirst(value: Uint8Array): Uint8Array {
  let isFirst = true
  const openDimension = (dimension: Uint8Array) => {
    if (!isFirst) return dimension
    isFirst = false
    return field(2, new TextEncoder().encode(WIDENED))
  }
  return rewriteMessage(value, {
    2: (type) =>
      rewriteMessage(type, {
        1: (tensor) => rewriteMessage(tensor, { 2: (shape) => rewriteMessage(shape, { 1: openDimension }) }),
      }),
  })
}

/** A `Constant` node's attribute. */
function openConstant(node: Uint8Array): Uint8Array {
  return rewriteMessage(node, { 5: (attribute) => rewriteMessage(attribute, { 5: openShape }) })
}

/** A TensorProto of int64: a 1 in front becomes 0, which is to `Reshape`: as many as there are. */
function openShape(tensor: Uint8Array): Uint8Array {
  let isOpen = false
  const opened = rewriteMessage(tensor, {
    9: (raw) => {
      isOpen = true
      return opensWithOne(raw)
        ? Uint8Array.from(raw, (byte, index) => (index === 0 ? 0 : byte))
        : refuseUnlessOpen(raw)
    },
    7: (packed) => {
      isOpen = true
      if (packed[0] !== 0 && packed[0] !== 1 && packed[0] !== 255) throw new CannotWiden()
      return packed[0] === 1 ? Uint8Array.from(packed, (byte, index) => (index === 0 ? 0 : byte)) : packed
    },
  })
  if (!isOpen) throw new CannotWiden()
  return opened
}

function opensWithOne(raw: Uint8Array): boolean {
  return raw.length >= 8 && raw[0] === 1 && raw.subarray(1, 8).every((byte) => byte === 0)
}

/** −1 and 0 are open as they are; another number would mix rows. */
function refuseUnlessOpen(raw: Uint8Array): Uint8Array {
  const first = raw.subarray(0, 8)
  if (first.every((byte) => byte === 0) || first.every((byte) => byte === 255)) return raw
  throw new CannotWiden()
}
