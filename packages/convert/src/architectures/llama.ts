import type { DecoderLayer, DecoderSpec, Matrix } from '../graph/decoder-spec.ts'
import type { Llama2cCheckpoint } from '../checkpoint/llama2c.ts'

/** llama2.c's checkpoint as a neutral decoder. Its rotary turns neighbouring rows (2i, 2i+1); ours turns row i with row i + headDim/2. */
export function llamaDecoder({ header, weights }: Llama2cCheckpoint): DecoderSpec {
  const { dim, hiddenDim, heads, kvHeads, vocabSize, contextLength } = header
  const headDim = dim / heads
  const kvDim = kvHeads * headDim
  const layers = Array.from({ length: header.layers }, (_, index): DecoderLayer => {
    const matrix = (name: string, all: Float32Array, rows: number, columns: number): Matrix => {
      const data = all.subarray(index * rows * columns, (index + 1) * rows * columns)
      return { name: `layers.${index}.${name}`, rows, columns, data }
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
    }
  })
  const table = (name: string, data: Float32Array): Matrix => ({ name, rows: vocabSize, columns: dim, data })
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
    rotaryTheta: 10000,
    rotaryDim: headDim,
    embedding: table('embedding', weights.embedding),
    layers,
    finalNorm: weights.finalNorm,
    lmHead: weights.classifier === undefined ? undefined : table('lm_head', weights.classifier),
  }
}

/** Within each head, even rows first and odd rows after them. */
function splitHalves(matrix: Matrix, headDim: number): Matrix {
  const { rows, columns, data } = matrix
  const permuted = new Float32Array(data.length)
  for (let row = 0; row < rows; row++) {
    const inHead = row % headDim
    const target = row - inHead + (inHead % 2) * (headDim / 2) + Math.trunc(inHead / 2)
    permuted.set(data.subarray(row * columns, (row + 1) * columns), target * columns)
  }
  return { ...matrix, data: permuted }
}
