import { WireReader } from './wire-reader.ts'

/** What an ONNX file says about itself, weights left out. Sub-graphs are not looked into. */
export interface OnnxGraph {
  /** What must be fed: inputs that are not weights. */
  readonly inputs: readonly OnnxValue[]
  readonly outputs: readonly OnnxValue[]
  readonly nodes: readonly OnnxNode[]
  /** The files that weights lie in, as the graph calls them: relative to the graph's own file. */
  readonly externalFiles: readonly string[]
}

export interface OnnxValue {
  readonly name: string
  /** TensorProto.DataType; 0 where the graph does not say. */
  readonly type: number
  /** A fixed size, or the name of one that the caller chooses, or `?`. `undefined`: the graph does not say. */
  readonly shape: readonly (number | string)[] | undefined
}

export interface OnnxNode {
  readonly opType: string
  /** `''` is ONNX itself. */
  readonly domain: string
  /** An absent optional one is `''`. */
  readonly inputs: readonly string[]
  readonly outputs: readonly string[]
  /** Attributes that are one whole number. */
  readonly integers: ReadonlyMap<string, number>
}

/**
 * Reads a file's graph in one pass, without a copy of its weights. Throws a plain `Error` where it is not ONNX, or has so many parts that no
 * decoder has them. Field numbers are those of onnx.proto (github.com/onnx/onnx).
 */
export function readOnnxGraph(bytes: Uint8Array): OnnxGraph {
  const parts = new Parts()
  let hasGraph = false
  const model = new WireReader(bytes)
  model.readFields({
    7: () => {
      hasGraph = true
      readGraph(model.message(), parts)
    },
  })
  if (!hasGraph) throw new Error('it holds no graph')
  const { inputs, outputs, nodes, weights, files } = parts
  // Old exporters list weights among the inputs too.
  const fed = inputs.filter(({ name }) => !weights.has(name))
  return { inputs: fed, outputs, nodes, externalFiles: [...files] }
}

class Parts {
  readonly inputs: OnnxValue[] = []
  readonly outputs: OnnxValue[] = []
  readonly nodes: OnnxNode[] = []
  readonly weights = new Set<string>()
  readonly files = new Set<string>()
  #count = 0

  /** Called for whatever is kept: memory is bounded, however small each part is in the file. */
  count(): void {
    if (++this.#count > MAX_PARTS) throw new Error(`it has more than ${MAX_PARTS} parts`)
  }

  text(message: WireReader): string {
    this.count()
    return message.text()
  }
}

function readGraph(graph: WireReader, parts: Parts): void {
  graph.readFields({
    1: () => parts.nodes.push(readNode(graph.message(), parts)),
    5: () => readWeight(graph.message(), parts),
    11: () => parts.inputs.push(readValue(graph.message(), parts)),
    12: () => parts.outputs.push(readValue(graph.message(), parts)),
  })
}

/** A NodeProto. */
export function readNode(node: WireReader, parts = new Parts()): OnnxNode {
  const inputs: string[] = []
  const outputs: string[] = []
  const integers = new Map<string, number>()
  let [opType, domain] = ['', '']
  parts.count()
  node.readFields({
    1: () => inputs.push(parts.text(node)),
    2: () => outputs.push(parts.text(node)),
    4: () => (opType = parts.text(node)),
    5: () => readAttribute(node.message(), integers, parts),
    7: () => (domain = parts.text(node)),
  })
  return { opType, domain: domain === 'ai.onnx' ? '' : domain, inputs, outputs, integers }
}

function readAttribute(attribute: WireReader, integers: Map<string, number>, parts: Parts): void {
  let name = ''
  let value: number | undefined
  attribute.readFields({
    1: () => (name = parts.text(attribute)),
    3: () => (value = attribute.varint()),
  })
  if (value !== undefined) integers.set(name, value)
}

/** A TensorProto: its name, and where it lies if that is another file. */
function readWeight(tensor: WireReader, parts: Parts): void {
  tensor.readFields({
    8: () => parts.weights.add(parts.text(tensor)),
    13: () => readLocation(tensor.message(), parts),
  })
}

function readLocation(entry: WireReader, parts: Parts): void {
  let [key, value] = ['', '']
  entry.readFields({
    1: () => (key = parts.text(entry)),
    2: () => (value = parts.text(entry)),
  })
  if (key === 'location') parts.files.add(value)
}

/** A ValueInfoProto: its name, and a TypeProto that holds a tensor's. */
function readValue(info: WireReader, parts: Parts): OnnxValue {
  let name = ''
  let type = 0
  let shape: (number | string)[] | undefined
  parts.count()
  info.readFields({
    1: () => (name = parts.text(info)),
    2: () => {
      const outer = info.message()
      outer.readFields({
        1: () => {
          const tensor = outer.message()
          tensor.readFields({
            1: () => (type = tensor.varint()),
            2: () => (shape = readShape(tensor.message(), parts)),
          })
        },
      })
    },
  })
  return { name, type, shape }
}

function readShape(shape: WireReader, parts: Parts): (number | string)[] {
  const sizes: (number | string)[] = []
  shape.readFields({
    1: () => {
      parts.count()
      let found: number | string = '?'
      const size = shape.message()
      size.readFields({
        1: () => (found = size.varint()),
        2: () => (found = parts.text(size)),
      })
      sizes.push(found)
    },
  })
  return sizes
}

/** Nodes, names and sizes; a decoder of 100 layers that is exported op by op has some 50,000. */
const MAX_PARTS = 500_000
