import { joinBytes } from '../join-bytes.ts'
import type { OnnxNode } from './onnx-graph.ts'
import { readNode } from './onnx-graph.ts'
import { field, rewriteMessage } from './rewrite-message.ts'
import { WireReader } from './wire-reader.ts'

/**
 * What of a decoder is computed in half precision. `activations`: all but the logits, and the cache with it. `attention`: attention and the cache, between
 * floats.
 */
export type HalfForm = 'activations' | 'attention'

/** TensorProto.DataType. */
const FLOAT = 1
const HALF = 10

const LOGITS = 'logits'
/** What keeps the CPU off its slow way of attention: it takes no weight, and no half is so small. */
const NO_SINK = 'no_sink'
/** Of GroupQueryAttention's inputs: what comes from the layer, and the tables of cosines and sines. */
const LAYER_INPUTS = [0, 1, 2]
const TABLES = [7, 8]
const FIRST_SINK_INPUT = 9

/**
 * The graph of a `DecoderGraph` as one that computes in halves, from the same weights: they are cast, which onnxruntime does once, when it makes the session.
 * Takes and gives the cache in halves, and logits in floats. Throws a plain `Error` on bytes that are no graph.
 */
export function halveGraph(model: Uint8Array, form: HalfForm): Uint8Array {
  return rewriteMessage(model, { 7: (graph) => halved(graph, form) })
}

function halved(graph: Uint8Array, form: HalfForm): Uint8Array {
  const nodes: Uint8Array[] = []
  const floats = new Set<string>()
  const rest = rewriteMessage(graph, {
    1: (node) => {
      nodes.push(withoutSink(node))
      return undefined
    },
    5: (tensor) => {
      const { name, type } = tensorOf(tensor)
      if (type === FLOAT) floats.add(name)
      return name === NO_SINK ? undefined : tensor
    },
    11: asHalf,
    12: asHalf,
  })
  const written = form === 'activations' ? allHalf(nodes, floats) : attentionHalf(nodes)
  return joinBytes([rest, ...written.map((node) => field(1, node))])
}

/** Every constant is cast, so everything in between is a half. */
function allHalf(nodes: readonly Uint8Array[], floats: ReadonlySet<string>): Uint8Array[] {
  const cast = new Set<string>()
  const body = nodes.map((node) => {
    const { opType, inputs, outputs } = read(node)
    // Weights that are stored as halves: they stay what they are.
    if (opType === 'Cast') return castNode(inputs[0] ?? '', outputs[0] ?? '', HALF)
    for (const input of inputs) if (floats.has(input)) cast.add(input)
    return renamed(
      node,
      (input) => (floats.has(input) ? half(input) : input),
      (output) => (output === LOGITS ? half(output) : output),
    )
  })
  const casts = [...cast].map((name) => castNode(name, half(name), HALF))
  return [...casts, ...body, castNode(half(LOGITS), LOGITS, FLOAT)]
}

function attentionHalf(nodes: readonly Uint8Array[]): Uint8Array[] {
  const tables = new Set<string>()
  return nodes.flatMap((node) => {
    const { opType, inputs, outputs } = read(node)
    if (opType !== 'GroupQueryAttention') return [node]
    const isHere = (input: string | undefined): input is string => input !== undefined && input !== ''
    const before = LAYER_INPUTS.map((at) => inputs[at]).filter(isHere)
    for (const table of TABLES.map((at) => inputs[at]).filter(isHere)) {
      if (!tables.has(table)) before.push(table) // all layers share them
      tables.add(table)
    }
    const attended = outputs[0] ?? ''
    const attention = renamed(
      node,
      (input, at) =>
        isHere(input) && (LAYER_INPUTS.includes(at) || TABLES.includes(at)) ? half(input) : input,
      (output) => (output === attended ? half(output) : output),
    )
    return [
      ...before.map((name) => castNode(name, half(name), HALF)),
      attention,
      castNode(half(attended), attended, FLOAT),
    ]
  })
}

function withoutSink(node: Uint8Array): Uint8Array {
  if (!read(node).inputs.includes(NO_SINK)) return node
  let at = 0
  return rewriteMessage(node, { 1: (input) => (at++ < FIRST_SINK_INPUT ? input : undefined) })
}

function renamed(
  node: Uint8Array,
  input: (name: string, at: number) => string,
  output: (name: string) => string,
): Uint8Array {
  let at = 0
  return rewriteMessage(node, {
    1: (name) => text(input(UTF8.decode(name), at++)),
    2: (name) => text(output(UTF8.decode(name))),
  })
}

/** A ValueInfoProto whose floats are halves; logits stay as they are. */
function asHalf(value: Uint8Array): Uint8Array {
  let name = ''
  const reader = new WireReader(value)
  reader.readFields({ 1: () => (name = reader.text()) })
  if (name === LOGITS) return value
  return rewriteMessage(value, { 2: (type) => rewriteMessage(type, { 1: halfTensor }) })
}

/** TypeProto.Tensor: the type of its elements, and its shape. */
function halfTensor(tensor: Uint8Array): Uint8Array {
  let type = 0
  const reader = new WireReader(tensor)
  reader.readFields({ 1: () => (type = reader.varint()) })
  if (type !== FLOAT) return tensor
  let shape: Uint8Array = new Uint8Array()
  rewriteMessage(tensor, { 2: (found) => (shape = found) })
  return joinBytes([number(1, HALF), field(2, shape)])
}

function tensorOf(tensor: Uint8Array): { readonly name: string; readonly type: number } {
  let [name, type] = ['', 0]
  const reader = new WireReader(tensor)
  reader.readFields({ 2: () => (type = reader.varint()), 8: () => (name = reader.text()) })
  return { name, type }
}

/** A NodeProto. */
function castNode(from: string, to: string, type: typeof FLOAT | typeof HALF): Uint8Array {
  const attribute = joinBytes([field(1, text('to')), number(3, type), number(20, INT_ATTRIBUTE)])
  return joinBytes([
    field(1, text(from)),
    field(2, text(to)),
    field(3, text(`${to}.cast`)),
    field(4, text('Cast')),
    field(5, attribute),
  ])
}

/** AttributeProto.AttributeType. */
const INT_ATTRIBUTE = 2

/** A field that holds a whole number below 128. */
function number(field: number, value: number): Uint8Array {
  const key = 8 * field
  return key < 128 ? Uint8Array.of(key, value) : Uint8Array.of(128 + (key % 128), key >> 7, value)
}

function half(name: string): string {
  return `${name}.half`
}

function read(node: Uint8Array): OnnxNode {
  return readNode(new WireReader(node))
}

function text(value: string): Uint8Array {
  return new TextEncoder().encode(value)
}

const UTF8 = new TextDecoder()
