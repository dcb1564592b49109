import type { DecoderTraits } from '@tabserve/protocol'
import type { Matrix } from './matrix.ts'
import type { RotaryFrequencies } from './rotary.ts'

/** Weights of one transformer block. Norm weights are final factors, [hiddenSize] where nothing else is said. */
export interface DecoderLayer {
  readonly attentionNorm: Float32Array
  /** [heads·headDim, hiddenSize], rotary pairs split in halves (element i turns with i + headDim/2). */
  readonly query: Matrix
  /** [kvHeads·headDim, hiddenSize], rotary pairs split in halves. */
  readonly key: Matrix
  readonly value: Matrix
  /** [headDim], on each head before it turns. */
  readonly queryNorm?: Float32Array | undefined
  readonly keyNorm?: Float32Array | undefined
  readonly output: Matrix
  /** On what attention gives, before it is added to the residual stream. */
  readonly attentionPostNorm?: Float32Array | undefined
  readonly feedForwardNorm: Float32Array
  readonly gate: Matrix
  readonly up: Matrix
  readonly down: Matrix
  readonly feedForwardPostNorm?: Float32Array | undefined
  /** Positions that attention sees, the token's own included; 0: all. */
  readonly window: number
  readonly rotary: RotaryName
}

export type RotaryName = 'rotary' | 'rotary_local'

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
  /** c·tanh(x/c) on scaled scores. */
  readonly attentionSoftcap?: number | undefined
  readonly normEpsilon: number
  readonly activation: DecoderTraits['activation']
  /** Those that layers name. */
  readonly rotaries: Readonly<Partial<Record<RotaryName, RotaryFrequencies>>>
  /** [vocabSize, hiddenSize]. */
  readonly embedding: Matrix
  /** Factor on the embedding's rows. */
  readonly embeddingScale: number
  readonly layers: readonly DecoderLayer[]
  readonly finalNorm: Float32Array
  /** [vocabSize, hiddenSize], or `undefined` where the embedding serves as the output projection too. */
  readonly lmHead: Matrix | undefined
  /** c·tanh(x/c) on logits. */
  readonly logitsSoftcap?: number | undefined
}

/** Number of weights, a tied table counted once. */
export function parameterCount({ embedding, lmHead, finalNorm, layers }: DecoderSpec): number {
  const sum = (sizes: readonly number[]): number => sizes.reduce((total, size) => total + size, 0)
  const size = (matrix: Matrix | undefined): number =>
    matrix === undefined ? 0 : matrix.rows * matrix.columns + (matrix.bias?.length ?? 0)
  const perLayer = layers.map(
    ({ query, key, value, output, gate, up, down, ...layer }) =>
      sum([query, key, value, output, gate, up, down].map(size)) +
      sum(
        [
          layer.attentionNorm,
          layer.queryNorm,
          layer.keyNorm,
          layer.attentionPostNorm,
          layer.feedForwardNorm,
          layer.feedForwardPostNorm,
        ].map((norm) => norm?.length ?? 0),
      ),
  )
  return size(embedding) + size(lmHead) + finalNorm.length + sum(perLayer)
}
