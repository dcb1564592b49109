import type { DecoderGraph, DecoderTraits, TensorEntry } from './manifest.ts'

/** A weight that a decoder's tensor list has or may have: a vector [size], a table [rows, columns] or a matrix [outputs, inputs]. */
export interface WeightSlot {
  readonly name: string
  readonly kind: 'vector' | 'table' | 'matrix'
  readonly shape: readonly number[]
  readonly optional: boolean
}

/** Every weight that a decoder of this shape can have, in the order of its computation; scales of quantised matrices left out. */
export function weightSlots(graph: DecoderGraph, traits: DecoderTraits): WeightSlot[] {
  const { vocabSize, hiddenSize, contextLength, headDim } = graph
  const rotary = [...new Set(traits.rotaries)].flatMap((name) => [
    slot(`${name}.cos`, 'table', [contextLength, headDim / 2]),
    slot(`${name}.sin`, 'table', [contextLength, headDim / 2]),
  ])
  return [
    slot('embedding.weight', 'matrix', [vocabSize, hiddenSize]),
    ...rotary,
    ...Array.from({ length: graph.layers }, (_, layer) => layerSlots(layer, graph, traits)).flat(),
    slot('final_norm.weight', 'vector', [hiddenSize]),
    optional('lm_head.weight', 'matrix', [vocabSize, hiddenSize]),
  ]
}

/** Bytes of a tensor. */
export function tensorBytes({ dtype, shape }: Pick<TensorEntry, 'dtype' | 'shape'>): number {
  const elements = shape.reduce((product, size) => product * size, 1)
  return elements * BYTES_PER_ELEMENT[dtype]
}

export const BYTES_PER_ELEMENT = { float32: 4, float16: 2, int8: 1, uint4: 0.5 } as const

function layerSlots(layer: number, graph: DecoderGraph, traits: DecoderTraits): WeightSlot[] {
  const { hiddenSize, heads, kvHeads, headDim } = graph
  const { feedForwardSize } = traits
  const prefix = `layers.${layer}`
  const attention = `${prefix}.attention`
  const feedForward = `${prefix}.feed_forward`
  const queryKeyValue = (heads + 2 * kvHeads) * headDim
  return [
    slot(`${attention}_norm.weight`, 'vector', [hiddenSize]),
    ...linear(`${attention}.query_key_value`, queryKeyValue, hiddenSize),
    optional(`${attention}.query_norm.weight`, 'vector', [headDim]),
    optional(`${attention}.key_norm.weight`, 'vector', [headDim]),
    ...linear(`${attention}.output`, hiddenSize, heads * headDim),
    optional(`${attention}_post_norm.weight`, 'vector', [hiddenSize]),
    slot(`${feedForward}_norm.weight`, 'vector', [hiddenSize]),
    ...linear(`${feedForward}.gate`, feedForwardSize, hiddenSize),
    ...linear(`${feedForward}.up`, feedForwardSize, hiddenSize),
    ...linear(`${feedForward}.down`, hiddenSize, feedForwardSize),
    optional(`${feedForward}_post_norm.weight`, 'vector', [hiddenSize]),
  ]
}

function linear(name: string, outputs: number, inputs: number): WeightSlot[] {
  return [slot(`${name}.weight`, 'matrix', [outputs, inputs]), optional(`${name}.bias`, 'vector', [outputs])]
}

function slot(name: string, kind: WeightSlot['kind'], shape: readonly number[]): WeightSlot {
  return { name, kind, shape, optional: false }
}

function optional(name: string, kind: WeightSlot['kind'], shape: readonly number[]): WeightSlot {
  return { name, kind, shape, optional: true }
}
