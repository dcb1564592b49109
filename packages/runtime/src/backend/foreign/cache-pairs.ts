import type { OnnxGraph, OnnxNode } from '../../onnx/onnx-graph.ts'

/** A cache as the graph names it: what goes in, what comes out, and the node that makes one of the other. */
export interface CachePair {
  readonly past: string
  readonly present: string
  readonly node: OnnxNode
}

/** Operators that keep a cache: which of their inputs becomes which of their outputs. */
const CACHING: Readonly<Record<string, readonly (readonly [input: number, output: number])[]>> = {
  'com.microsoft.GroupQueryAttention': [
    [3, 1],
    [4, 2],
  ],
  'com.microsoft.MultiHeadAttention': [
    [6, 1],
    [7, 2],
  ],
  '.Attention': [
    [4, 1],
    [5, 2],
  ],
}

/** Pairs every output that comes of a cached input with that input; other outputs are not among them. */
export function cachePairs(graph: OnnxGraph): CachePair[] {
  const fed = new Set(graph.inputs.map(({ name }) => name))
  const producers = new Map(graph.nodes.flatMap((node) => node.outputs.map((output) => [output, node])))
  return graph.outputs.flatMap(({ name: present }) => {
    const node = producers.get(present)
    const past = node === undefined ? undefined : pastOf(node, present, fed)
    return node === undefined || past === undefined ? [] : [{ past, present, node }]
  })
}

/** The graph's input that a node continues as `present`. */
function pastOf(node: OnnxNode, present: string, fed: ReadonlySet<string>): string | undefined {
  if (node.opType === 'Concat' && node.domain === '')
    // The past comes first: what is new stands behind it.
    return node.inputs.length === 2
      ? node.inputs.find((name, index) => index === 0 && fed.has(name))
      : undefined
  const slot = CACHING[`${node.domain}.${node.opType}`]?.find(
    ([, output]) => node.outputs[output] === present,
  )
  const past = slot === undefined ? undefined : node.inputs[slot[0]]
  return past !== undefined && fed.has(past) ? past : undefined
}
