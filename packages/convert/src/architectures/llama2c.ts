import type { Llama2cCheckpoint } from '../checkpoint/llama2c.ts'
import type { DecoderLayer, DecoderSpec } from '../graph/decoder-spec.ts'
import { matrixOf } from '../graph/matrix.ts'
import type { Matrix } from '../graph/matrix.ts'
import { plainRotary } from '../graph/rotary.ts'
import { splitHalves } from './split-halves.ts'

/** llama2.c's checkpoint as a neutral decoder. Its rotary turns neighbouring rows (2i, 2i+1); ours turns row i with row i + headDim/2. */
export function llama2cDecoder({ header, weights }: Llama2cCheckpoint): DecoderSpec {
  const { dim, hiddenDim, heads, kvHeads, vocabSize, contextLength } = header
  const headDim = dim / heads
  const kvDim = kvHeads * headDim
  const layers = Array.from({ length: header.layers }, (_, index): DecoderLayer => {
    const matrix = (name: string, all: Float32Array, rows: number, columns: number): Matrix => {
      const data = all.subarray(index * rows * columns, (index + 1) * rows * columns)
      return matrixOf(`layers.${index}.${name}`, rows, columns, data)
    }
    return {
      attentionNorm: weights.attentionNorms.subarray(index * dim, (index + 1) * dim),
      query: splitHalves(matrix('attention.query', weights.query, dim, dim), headDim),
      key: splitHalves(matrix('attention.key', weights.key, kvDim, dim), headDim),
      value: matrix('attention.value', weights.value, kvDim, dim),
      output: matrix('attention.output', weights.output, dim, dim),
      feedForwardNorm: weights.feedForwardNorms.subarray(index * dim, (index + 1) * dim),
      gate: matrix('feed_forward.gate', weights.w1, hiddenDim, dim),
      up: matrix('feed_forward.up', weights.w3, hiddenDim, dim),
      down: matrix('feed_forward.down', weights.w2, dim, hiddenDim),
      window: 0,
      rotary: 'rotary',
    }
  })
  const { classifier } = weights
  return {
    architecture: 'llama',
    hiddenSize: dim,
    vocabSize,
    contextLength,
    heads,
    kvHeads,
    headDim,
    attentionScale: 1 / Math.sqrt(headDim),
    normEpsilon: 1e-5,
    activation: 'silu',
    rotaries: { rotary: plainRotary(10000, headDim) },
    embedding: matrixOf('embedding', vocabSize, dim, weights.embedding),
    embeddingScale: 1,
    layers,
    finalNorm: weights.finalNorm,
    lmHead: classifier === undefined ? undefined : matrixOf('lm_head', vocabSize, dim, classifier),
  }
}
