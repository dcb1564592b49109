import { ConvertError } from '../convert-error.ts'
import type { Llama2cWeights } from './llama2c.ts'
import type { Llama2cHeader } from './llama2c-header.ts'

/** Versions 0 and 1: the same tensors, but 1 has the norms first and 0 has two rotary tables, which we make ourselves. */
export function readFp32(bytes: Uint8Array, header: Llama2cHeader): Llama2cWeights {
  const size = tensorSizes(header)
  const reader = new TensorReader(bytes, header.weightsOffset)
  const weights =
    header.version === 0 ? readVersion0(reader, header, size) : readVersion1(reader, header, size)
  reader.end()
  return weights
}

/** Version 2: fp32 norms, then matrices as int8 with one fp32 scale per group; matrices that layers have each are written layer by layer. */
export function readQ8(bytes: Uint8Array, header: Llama2cHeader): Llama2cWeights {
  const size = tensorSizes(header)
  const { layers, groupSize } = header
  const reader = new TensorReader(bytes, header.weightsOffset)
  const norms = readNorms(reader, size)
  const perLayer = (numWeights: number): Float32Array => {
    const all = new Float32Array(numWeights)
    const one = numWeights / layers
    for (let layer = 0; layer < layers; layer++) all.set(reader.q8(one, groupSize), layer * one)
    return all
  }
  const weights: Llama2cWeights = {
    ...norms,
    embedding: reader.q8(size.embedding, groupSize),
    query: perLayer(size.query),
    key: perLayer(size.key),
    value: perLayer(size.key),
    output: perLayer(size.query),
    w1: perLayer(size.feedForward),
    w2: perLayer(size.feedForward),
    w3: perLayer(size.feedForward),
    classifier: header.sharedClassifier ? undefined : reader.q8(size.embedding, groupSize),
  }
  reader.end()
  return weights
}

type Sizes = ReturnType<typeof tensorSizes>

/** Numbers of weights, all layers together. */
function tensorSizes({ dim, hiddenDim, layers, heads, kvHeads, vocabSize }: Llama2cHeader) {
  return {
    embedding: vocabSize * dim,
    norms: layers * dim,
    query: layers * dim * dim,
    key: layers * dim * kvHeads * (dim / heads),
    feedForward: layers * dim * hiddenDim,
    finalNorm: dim,
  }
}

function readVersion0(reader: TensorReader, header: Llama2cHeader, size: Sizes): Llama2cWeights {
  const first = {
    embedding: reader.fp32(size.embedding),
    attentionNorms: reader.fp32(size.norms),
    ...readAttention(reader, size),
    feedForwardNorms: reader.fp32(size.norms),
    ...readFeedForward(reader, size),
    finalNorm: reader.fp32(size.finalNorm),
  }
  reader.skip(4 * header.contextLength * (header.dim / header.heads))
  return { ...first, classifier: header.sharedClassifier ? undefined : reader.fp32(size.embedding) }
}

function readVersion1(reader: TensorReader, header: Llama2cHeader, size: Sizes): Llama2cWeights {
  return {
    ...readNorms(reader, size),
    embedding: reader.fp32(size.embedding),
    ...readAttention(reader, size),
    ...readFeedForward(reader, size),
    classifier: header.sharedClassifier ? undefined : reader.fp32(size.embedding),
  }
}

function readNorms(reader: TensorReader, size: Sizes) {
  return {
    attentionNorms: reader.fp32(size.norms),
    feedForwardNorms: reader.fp32(size.norms),
    finalNorm: reader.fp32(size.finalNorm),
  }
}

function readAttention(reader: TensorReader, size: Sizes) {
  return {
    query: reader.fp32(size.query),
    key: reader.fp32(size.key),
    value: reader.fp32(size.key),
    output: reader.fp32(size.query),
  }
}

function readFeedForward(reader: TensorReader, size: Sizes) {
  return {
    w1: reader.fp32(size.feedForward),
    w2: reader.fp32(size.feedForward),
    w3: reader.fp32(size.feedForward),
  }
}

/** Takes tensors off the file one after the other; nothing in the file may be left or missing. */
class TensorReader {
  readonly #bytes: Uint8Array
  #offset: number

  constructor(bytes: Uint8Array, offset: number) {
    this.#bytes = bytes
    this.#offset = offset
  }

  fp32(numWeights: number): Float32Array {
    const taken = this.#take(4 * numWeights)
    return new Float32Array(taken.buffer.slice(taken.byteOffset, taken.byteOffset + taken.byteLength)) // aligned
  }

  q8(numWeights: number, groupSize: number): Float32Array {
    const taken = this.#take(numWeights)
    const values = new Int8Array(taken.buffer, taken.byteOffset, numWeights)
    const scales = this.fp32(numWeights / groupSize)
    return Float32Array.from(values, (value, i) => value * (scales[Math.trunc(i / groupSize)] as number))
  }

  skip(numBytes: number): void {
    this.#take(numBytes)
  }

  end(): void {
    const left = this.#bytes.byteLength - this.#offset
    if (left > 0) throw new ConvertError(`the checkpoint has ${left} bytes more than its header says`)
  }

  #take(numBytes: number): Uint8Array {
    const begin = this.#offset
    this.#offset += numBytes
    const missing = this.#offset - this.#bytes.byteLength
    if (missing > 0)
      throw new ConvertError('the checkpoint ends before the weights that its header says it has')
    return this.#bytes.subarray(begin, this.#offset)
  }
}
