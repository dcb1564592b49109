import { NormalSource } from '../src/normal-source.ts'

/** A tiny shape with an odd hidden width, and two heads that share one KV head. */
export const FIXTURE = {
  dim: 32,
  hiddenDim: 44,
  layers: 2,
  heads: 2,
  kvHeads: 1,
  vocabSize: 300,
  contextLength: 16,
}
const GROUP = 8

/** A llama2.c checkpoint with seeded weights, in any of its three versions: the same weights in each. */
export function checkpointBytes(version: 0 | 1 | 2, untied = false): Uint8Array {
  const weights = fixtureWeights()
  const norms = [weights.attentionNorms, weights.feedForwardNorms, weights.finalNorm]
  const matrices = [weights.embedding, ...weights.attention, ...weights.feedForward]
  const classifier = untied ? [weights.classifier] : []
  const chunks: (Float32Array | Int8Array | Uint8Array)[] = [header(version, untied)]
  if (version === 0) {
    chunks.push(weights.embedding, weights.attentionNorms, ...weights.attention, weights.feedForwardNorms)
    chunks.push(...weights.feedForward, weights.finalNorm)
    chunks.push(new Float32Array(FIXTURE.contextLength * (FIXTURE.dim / FIXTURE.heads)), ...classifier)
  } else if (version === 1) {
    chunks.push(...norms, ...matrices, ...classifier)
  } else {
    chunks.push(...norms, ...quantized(weights.embedding))
    for (const matrix of [...weights.attention, ...weights.feedForward]) {
      const one = matrix.length / FIXTURE.layers
      for (let layer = 0; layer < FIXTURE.layers; layer++)
        chunks.push(...quantized(matrix.subarray(layer * one, (layer + 1) * one)))
    }
    for (const matrix of classifier) chunks.push(...quantized(matrix))
  }
  return Buffer.concat(
    chunks.map((chunk) => new Uint8Array(chunk.buffer, chunk.byteOffset, chunk.byteLength)),
  )
}

function fixtureWeights() {
  const { dim, hiddenDim, layers, heads, kvHeads, vocabSize } = FIXTURE
  const source = new NormalSource(7)
  const tensor = (length: number): Float32Array => source.fill(new Float32Array(length), 0.2)
  const kv = layers * dim * kvHeads * (dim / heads)
  return {
    embedding: tensor(vocabSize * dim),
    attentionNorms: tensor(layers * dim),
    attention: [tensor(layers * dim * dim), tensor(kv), tensor(kv), tensor(layers * dim * dim)],
    feedForwardNorms: tensor(layers * dim),
    feedForward: [
      tensor(layers * dim * hiddenDim),
      tensor(layers * dim * hiddenDim),
      tensor(layers * dim * hiddenDim),
    ],
    finalNorm: tensor(dim),
    classifier: tensor(vocabSize * dim),
  }
}

function header(version: 0 | 1 | 2, untied: boolean): Uint8Array {
  const { dim, hiddenDim, layers, heads, kvHeads, vocabSize, contextLength } = FIXTURE
  const numbers = [dim, hiddenDim, layers, heads, kvHeads, vocabSize, contextLength]
  if (version === 0) {
    if (untied) numbers[5] = -vocabSize
    return new Uint8Array(Int32Array.from(numbers).buffer)
  }
  const view = new DataView(new ArrayBuffer(256))
  ;[0x616b3432, version, ...numbers].forEach((number, index) => view.setInt32(4 * index, number, true))
  view.setUint8(36, untied ? 0 : 1)
  if (version === 2) view.setInt32(37, GROUP, true)
  return new Uint8Array(view.buffer)
}

function quantized(matrix: Float32Array): [Int8Array, Float32Array] {
  const scales = new Float32Array(matrix.length / GROUP)
  for (let i = 0; i < matrix.length; i++) {
    const group = Math.trunc(i / GROUP)
    scales[group] = Math.max(scales[group] as number, Math.abs(matrix[i] as number) / 127)
  }
  return [
    Int8Array.from(matrix, (weight, i) => Math.round(weight / (scales[Math.trunc(i / GROUP)] as number))),
    scales,
  ]
}

/** A llama2.c tokenizer.bin whose pieces are bytes and then single letters. */
export function tokenizerBytes(vocabSize: number): Uint8Array {
  const pieces = ['<unk>', '\n<s>\n', '\n</s>\n']
  for (let byte = 0; byte < 256; byte++)
    pieces.push(`<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`)
  for (let letter = 0; pieces.length < vocabSize; letter++) pieces.push(String.fromCodePoint(0x61 + letter))
  const chunks = [Buffer.alloc(4)]
  chunks[0]?.writeInt32LE(8)
  pieces.forEach((piece, index) => {
    const text = Buffer.from(piece)
    const head = Buffer.alloc(8)
    head.writeFloatLE(index < 259 ? 0 : 259 - index, 0)
    head.writeInt32LE(text.length, 4)
    chunks.push(head, text)
  })
  return Buffer.concat(chunks)
}
