/** A BERT in numbers and weights. Matrices are [inputs, outputs], row by row. */
export interface EncoderSpec {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly heads: number
  readonly feedForwardSize: number
  readonly maxPositions: number
  readonly words: Float32Array
  readonly positions: Float32Array
  readonly types: Float32Array
  readonly embeddingNorm: Norm
  readonly layers: readonly EncoderLayer[]
  /** Labels from the first token, or of every token. */
  readonly head?: { readonly of: 'first' | 'every'; readonly labels: number; readonly linear: Linear }
}

export interface EncoderLayer {
  readonly query: Linear
  readonly key: Linear
  readonly value: Linear
  readonly output: Linear
  readonly attentionNorm: Norm
  readonly up: Linear
  readonly down: Linear
  readonly outputNorm: Norm
}

export interface Linear {
  readonly weight: Float32Array
  readonly bias: Float32Array
}

export interface Norm {
  readonly scale: Float32Array
  readonly bias: Float32Array
}

export interface EncoderShape {
  readonly vocabSize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly feedForwardSize: number
  readonly maxPositions: number
  readonly head?: { readonly of: 'first' | 'every'; readonly labels: number }
}

/** The same shape and seed are the same weights. */
export function randomEncoder(shape: EncoderShape, seed: number): EncoderSpec {
  const { vocabSize, hiddenSize, heads, feedForwardSize, maxPositions, head } = shape
  const random = randomNumbers(seed)
  const many = (count: number, scale: number) => Float32Array.from({ length: count }, () => scale * random())
  const linear = (inputs: number, outputs: number): Linear => ({
    weight: many(inputs * outputs, 1.7 / Math.sqrt(inputs)),
    bias: many(outputs, 0.1),
  })
  const norm = (): Norm => ({
    scale: many(hiddenSize, 0.1).map((value) => 1 + value),
    bias: many(hiddenSize, 0.1),
  })
  return {
    vocabSize,
    hiddenSize,
    heads,
    feedForwardSize,
    maxPositions,
    words: many(vocabSize * hiddenSize, 1),
    positions: many(maxPositions * hiddenSize, 0.3),
    types: many(2 * hiddenSize, 0.3),
    embeddingNorm: norm(),
    layers: Array.from({ length: shape.layers }, () => ({
      query: linear(hiddenSize, hiddenSize),
      key: linear(hiddenSize, hiddenSize),
      value: linear(hiddenSize, hiddenSize),
      output: linear(hiddenSize, hiddenSize),
      attentionNorm: norm(),
      up: linear(hiddenSize, feedForwardSize),
      down: linear(feedForwardSize, hiddenSize),
      outputNorm: norm(),
    })),
    ...(head === undefined ? {} : { head: { ...head, linear: linear(hiddenSize, head.labels) } }),
  }
}

/** −1 to 1. */
export function randomNumbers(seed: number): () => number {
  let state = seed >>> 0 || 1
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 31 - 1
  }
}
