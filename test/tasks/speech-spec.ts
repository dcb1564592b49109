import type { EncoderLayer, Linear, Norm } from './encoder-spec.ts'
import { randomEncoder, randomNumbers } from './encoder-spec.ts'

/** A small encoder-decoder as Whisper and Moonshine have it: the encoder reads frames of `frameSize` numbers, the decoder says tokens. */
export interface SpeechSpec {
  readonly hiddenSize: number
  readonly heads: number
  readonly vocabSize: number
  readonly frameSize: number
  readonly maxPositions: number
  readonly frames: Linear
  readonly encoder: readonly EncoderLayer[]
  readonly words: Float32Array
  readonly positions: Float32Array
  readonly decoder: readonly DecoderLayer[]
  readonly logits: Linear
}

/** Norms behind each sum, as in the encoder of the tests. */
export interface DecoderLayer extends EncoderLayer {
  readonly cross: Pick<EncoderLayer, 'query' | 'key' | 'value' | 'output'> & { readonly norm: Norm }
}

export function randomSpeech(seed: number, frameSize: number): SpeechSpec {
  const [hiddenSize, heads, vocabSize, maxPositions] = [24, 3, 40, 64]
  const shape = { vocabSize, hiddenSize, layers: 2, heads, feedForwardSize: 32, maxPositions }
  const encoder = randomEncoder(shape, seed)
  const decoder = randomEncoder(shape, seed + 1)
  const cross = randomEncoder(shape, seed + 2)
  const random = randomNumbers(seed + 3)
  const many = (count: number, scale: number) => Float32Array.from({ length: count }, () => scale * random())
  return {
    hiddenSize,
    heads,
    vocabSize,
    frameSize,
    maxPositions,
    frames: { weight: many(frameSize * hiddenSize, 1), bias: many(hiddenSize, 0.1) },
    encoder: encoder.layers,
    words: decoder.words,
    positions: decoder.positions,
    decoder: decoder.layers.map((layer, index) => {
      const { query, key, value, output, attentionNorm } = cross.layers[index] ?? layer
      return { ...layer, cross: { query, key, value, output, norm: attentionNorm } }
    }),
    logits: { weight: many(hiddenSize * vocabSize, 1), bias: many(vocabSize, 0.1) },
  }
}
