/** A weight matrix [rows, columns] = [outputs, inputs], row-major fp32: the orientation of PyTorch and Hugging Face. */
export interface Matrix {
  readonly name: string
  readonly rows: number
  readonly columns: number
  readonly data: Float32Array
}

/** Weights of one transformer block. Norm weights are [hiddenSize]. */
export interface DecoderLayer {
  readonly attentionNorm: Float32Array
  /** [heads·headDim, hiddenSize], rotary pairs split in halves (element i turns with i + headDim/2). */
  readonly query: Matrix
  /** [kvHeads·headDim, hiddenSize], rotary pairs split in halves. */
  readonly key: Matrix
  readonly value: Matrix
  readonly output: Matrix
  readonly feedForwardNorm: Float32Array
  readonly gate: Matrix
  readonly up: Matrix
  readonly down: Matrix
}

/** A decoder as the graph builder sees it, whatever checkpoint or architecture it came from. */
export interface DecoderSpec {
  readonly architecture: string
  readonly hiddenSize: number
  readonly vocabSize: number
  readonly contextLength: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  /** Factor on query · key, usually 1/√(the real size of a head). */
  readonly attentionScale: number
  readonly normEpsilon: number
  readonly rotaryTheta: number
  /** Elements of a head that turn, pairs of them; the frequencies follow from it. */
  readonly rotaryDim: number
  /** [vocabSize, hiddenSize]. */
  readonly embedding: Matrix
  readonly layers: readonly DecoderLayer[]
  readonly finalNorm: Float32Array
  /** [vocabSize, hiddenSize], or `undefined` where the embedding serves as the output projection too. */
  readonly lmHead: Matrix | undefined
}

/** Number of weights, a tied table counted once. */
export function parameterCount(spec: DecoderSpec): number {
  const size = (matrix: Matrix | undefined): number => matrix?.data.length ?? 0
  const perLayer = spec.layers.map(
    (layer) =>
      layer.attentionNorm.length +
      layer.feedForwardNorm.length +
      [layer.query, layer.key, layer.value, layer.output, layer.gate, layer.up, layer.down].reduce(
        (sum, m) => sum + size(m),
        0,
      ),
  )
  return (
    size(spec.embedding) + size(spec.lmHead) + spec.finalNorm.length + perLayer.reduce((a, b) => a + b, 0)
  )
}

/** Matrices with the same inputs stacked into one, so that a graph reads the activations once. */
export function stack(name: string, matrices: readonly Matrix[]): Matrix {
  const columns = matrices[0]?.columns ?? 0
  const data = new Float32Array(matrices.reduce((sum, matrix) => sum + matrix.data.length, 0))
  let offset = 0
  for (const matrix of matrices) {
    data.set(matrix.data, offset)
    offset += matrix.data.length
  }
  return { name, rows: data.length / columns, columns, data }
}
