import { ConvertError } from './convert-error.ts'
import type { DecoderLayer, DecoderSpec } from './graph/decoder-spec.ts'
import { matrixOf } from './graph/matrix.ts'
import type { Matrix } from './graph/matrix.ts'
import { plainRotary } from './graph/rotary.ts'
import { NormalSource } from './normal-source.ts'
import { vocabularyTokenizer } from './tokenizer/model-tokenizer.ts'
import { syntheticVocabulary } from './tokenizer/synthetic.ts'
import { writeModel } from './write-model.ts'
import type { ConvertResult, ModelOptions } from './write-model.ts'

export interface RandomShape {
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  /** Width of the feed-forward block. */
  readonly hiddenDim: number
  readonly vocabSize: number
}

export interface RandomOptions extends ModelOptions {
  readonly shape: RandomShape
  /** Positions; 2048 where absent. */
  readonly contextLength?: number
  /** The same seed gives the same bytes. */
  readonly seed?: number
  /** Whether the embedding is the output projection too; true where absent. */
  readonly tied?: boolean
}

/** A model of the wanted shape that says nothing sensible: for benchmarks and tests. */
export function makeRandomModel(options: RandomOptions): Promise<ConvertResult> {
  const { shape, contextLength = 2048, seed = 1, tied = true } = options
  assertShape(shape)
  const spec = randomDecoder(shape, contextLength, seed, tied)
  const tokenizer = vocabularyTokenizer(
    syntheticVocabulary(shape.vocabSize),
    contextLength,
    options.chatTemplate,
  )
  return writeModel(spec, tokenizer, options)
}

/** Seeded weights in which activations stay near one. */
export function randomDecoder(
  shape: RandomShape,
  contextLength: number,
  seed: number,
  tied: boolean,
): DecoderSpec {
  const { hiddenSize, heads, kvHeads, hiddenDim, vocabSize } = shape
  const headDim = hiddenSize / heads
  const source = new NormalSource(seed)
  // Variance 1/inputs keeps activations near one; matrices that write to the residual stream are smaller, as GPT-2 starts them.
  const matrix = (name: string, rows: number, columns: number, scale = 1): Matrix => {
    const data = source.fill(new Float32Array(rows * columns), scale / Math.sqrt(columns))
    return matrixOf(name, rows, columns, data)
  }
  const ones = (): Float32Array => new Float32Array(hiddenSize).fill(1)
  const residual = 1 / Math.sqrt(2 * shape.layers)
  const layer = (index: number): DecoderLayer => ({
    attentionNorm: ones(),
    query: matrix(`layers.${index}.attention.query`, hiddenSize, hiddenSize),
    key: matrix(`layers.${index}.attention.key`, kvHeads * headDim, hiddenSize),
    value: matrix(`layers.${index}.attention.value`, kvHeads * headDim, hiddenSize),
    output: matrix(`layers.${index}.attention.output`, hiddenSize, hiddenSize, residual),
    feedForwardNorm: ones(),
    gate: matrix(`layers.${index}.feed_forward.gate`, hiddenDim, hiddenSize),
    up: matrix(`layers.${index}.feed_forward.up`, hiddenDim, hiddenSize),
    down: matrix(`layers.${index}.feed_forward.down`, hiddenSize, hiddenDim, residual),
    window: 0,
    rotary: 'rotary',
  })
  return {
    architecture: 'llama',
    hiddenSize,
    vocabSize,
    contextLength,
    heads,
    kvHeads,
    headDim,
    attentionScale: 1 / Math.sqrt(headDim),
    normEpsilon: 1e-5,
    activation: 'silu',
    rotaries: { rotary: plainRotary(10000, headDim) },
    embedding: matrix('embedding', vocabSize, hiddenSize),
    embeddingScale: 1,
    layers: Array.from({ length: shape.layers }, (_, index) => layer(index)),
    finalNorm: ones(),
    lmHead: tied ? undefined : matrix('lm_head', vocabSize, hiddenSize),
  }
}

function assertShape({ hiddenSize, heads, kvHeads, vocabSize }: RandomShape): void {
  if (hiddenSize % heads !== 0 || (hiddenSize / heads) % 2 !== 0) {
    throw new ConvertError(`a width of ${hiddenSize} is not ${heads} heads of an even size`)
  }
  if (heads % kvHeads !== 0) throw new ConvertError(`${heads} heads do not share ${kvHeads} KV heads evenly`)
  if (vocabSize < 260)
    throw new ConvertError(`a vocabulary of ${vocabSize} has no room for 256 bytes and 4 more tokens`)
}
