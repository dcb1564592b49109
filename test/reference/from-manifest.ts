import type { DecoderGraph } from '@tabserve/protocol'
import type { DecoderLayer, DecoderSpec, RotaryName } from '../../packages/convert/src/graph/decoder-spec.ts'
import { matrixOf } from '../../packages/convert/src/graph/matrix.ts'
import type { Matrix } from '../../packages/convert/src/graph/matrix.ts'
import { TensorReader } from '../../packages/convert/test/read-tensor.ts'

/**
 * The decoder that a manifest describes, with the weights that its data file holds, quantised ones restored: what a runner that reads
 * weights without the graph has to compute. Only the rotary frequencies are the caller's, for the file has tables of them.
 */
export function decoderFromManifest(
  graph: DecoderGraph,
  data: Uint8Array,
  rotaries: DecoderSpec['rotaries'],
): DecoderSpec {
  const traits = graph.decoder
  if (traits === undefined) throw new Error('the manifest lists no weights')
  const reader = new TensorReader(data, traits.tensors)
  const optional = (name: string): Float32Array | undefined =>
    reader.has(name) ? reader.read(name) : undefined
  const matrix = (name: string, rows: number, columns: number): Matrix => ({
    ...matrixOf(name, rows, columns, reader.read(`${name}.weight`)),
    bias: optional(`${name}.bias`),
  })
  const { hiddenSize, vocabSize, heads, kvHeads, headDim } = graph
  const { feedForwardSize } = traits
  const layer = (index: number): DecoderLayer => {
    const prefix = `layers.${index}`
    const rows = (heads + 2 * kvHeads) * headDim
    const stacked = matrix(`${prefix}.attention.query_key_value`, rows, hiddenSize)
    const key = heads * headDim
    const value = key + kvHeads * headDim
    return {
      attentionNorm: reader.read(`${prefix}.attention_norm.weight`),
      query: slice(stacked, 0, key),
      key: slice(stacked, key, value),
      value: slice(stacked, value, rows),
      queryNorm: optional(`${prefix}.attention.query_norm.weight`),
      keyNorm: optional(`${prefix}.attention.key_norm.weight`),
      output: matrix(`${prefix}.attention.output`, hiddenSize, heads * headDim),
      attentionPostNorm: optional(`${prefix}.attention_post_norm.weight`),
      feedForwardNorm: reader.read(`${prefix}.feed_forward_norm.weight`),
      gate: matrix(`${prefix}.feed_forward.gate`, feedForwardSize, hiddenSize),
      up: matrix(`${prefix}.feed_forward.up`, feedForwardSize, hiddenSize),
      down: matrix(`${prefix}.feed_forward.down`, hiddenSize, feedForwardSize),
      feedForwardPostNorm: optional(`${prefix}.feed_forward_post_norm.weight`),
      window: traits.windows[index]!,
      rotary: traits.rotaries[index] as RotaryName, // manifestProblem has looked
    }
  }
  return {
    ...graph,
    ...traits,
    rotaries,
    embedding: matrix('embedding', vocabSize, hiddenSize),
    layers: Array.from({ length: graph.layers }, (_, index) => layer(index)),
    finalNorm: reader.read('final_norm.weight'),
    lmHead: reader.has('lm_head.weight') ? matrix('lm_head', vocabSize, hiddenSize) : undefined,
  }
}

function slice(matrix: Matrix, begin: number, end: number): Matrix {
  const { name, columns, bias } = matrix
  return {
    ...matrixOf(name, end - begin, columns, matrix.read(begin, end)),
    bias: bias?.subarray(begin, end),
  }
}
