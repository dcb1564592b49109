import { ConvertError } from '../convert-error.ts'
import { readHeader } from './llama2c-header.ts'
import type { Llama2cHeader } from './llama2c-header.ts'
import { readFp32, readQ8 } from './llama2c-weights.ts'

/** Weights of all layers one after the other, fp32, matrices [outputs, inputs], rotary pairs interleaved as llama2.c has them. */
export interface Llama2cWeights {
  readonly embedding: Float32Array
  readonly attentionNorms: Float32Array
  readonly query: Float32Array
  readonly key: Float32Array
  readonly value: Float32Array
  readonly output: Float32Array
  readonly feedForwardNorms: Float32Array
  readonly w1: Float32Array
  readonly w2: Float32Array
  readonly w3: Float32Array
  readonly finalNorm: Float32Array
  /** Absent where the embedding is the classifier too. */
  readonly classifier: Float32Array | undefined
}

export interface Llama2cCheckpoint {
  readonly header: Llama2cHeader
  readonly weights: Llama2cWeights
}

/** Reads a llama2.c checkpoint: version 0 and 1 (fp32) and 2 (int8 groups). */
export function readLlama2c(bytes: Uint8Array): Llama2cCheckpoint {
  const header = readHeader(bytes)
  const weights = header.version === 2 ? readQ8(bytes, header) : readFp32(bytes, header)
  for (const [name, tensor] of Object.entries(weights)) {
    if (tensor instanceof Float32Array && !tensor.every(Number.isFinite)) {
      throw new ConvertError(`the checkpoint holds numbers in "${name}" that are not finite`)
    }
  }
  return { header, weights }
}
