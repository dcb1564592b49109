import type { DecoderSpec } from '../../../convert/src/graph/decoder-spec.ts'
import type { Matrix } from '../../../convert/src/graph/matrix.ts'
import { rearrangeRows } from '../../../convert/src/graph/matrix.ts'
import { toFloat16 } from '../../../convert/src/quantization/float16.ts'
import { Q4_BLOCK } from '../../../convert/src/quantization/q4-matrix.ts'
import { PIECE_KINDS } from '../../../convert/src/tokenizer/pieces.ts'
import type { Vocabulary } from '../../../convert/src/tokenizer/pieces.ts'
import type { GgufTensor } from '../../../convert/test/write-gguf.ts'
import { ggufBytes } from '../../../convert/test/write-gguf.ts'

const FLOATS = 0
const Q4_0 = 2
/** Of a Q4_0 block: its scale in half precision, then 32 weights. */
const BLOCK_BYTES = 2 + Q4_BLOCK / 2

/** A plain decoder whose matrices come in Q4_0's blocks, as llama.cpp reads it. */
export function ggufDecoder(spec: DecoderSpec, vocabulary: Vocabulary): Uint8Array {
  const layers = spec.layers.flatMap((layer, index) => {
    const block = (name: string): string => `blk.${index}.${name}`
    return [
      vector(block('attn_norm'), layer.attentionNorm),
      matrix(block('attn_q'), neighbours(layer.query, spec.headDim)),
      matrix(block('attn_k'), neighbours(layer.key, spec.headDim)),
      matrix(block('attn_v'), layer.value),
      matrix(block('attn_output'), layer.output),
      vector(block('ffn_norm'), layer.feedForwardNorm),
      matrix(block('ffn_gate'), layer.gate),
      matrix(block('ffn_up'), layer.up),
      matrix(block('ffn_down'), layer.down),
    ]
  })
  return ggufBytes(metadataOf(spec, vocabulary), [
    matrix('token_embd', spec.embedding),
    vector('output_norm', spec.finalNorm),
    ...layers,
  ])
}

function metadataOf(spec: DecoderSpec, { pieces, bosId, eosId }: Vocabulary) {
  const count = (value: number) => ({ type: 'uint32', value }) as const
  const kinds = Object.entries(PIECE_KINDS)
  const numberOf = (kind: string): number => Number(kinds.find(([, name]) => name === kind)?.[0])
  return {
    'general.architecture': { type: 'string', value: 'llama' },
    'general.name': { type: 'string', value: 'random' },
    'llama.block_count': count(spec.layers.length),
    'llama.context_length': count(spec.contextLength),
    'llama.embedding_length': count(spec.hiddenSize),
    'llama.feed_forward_length': count(spec.layers[0]?.gate.rows ?? 0),
    'llama.attention.head_count': count(spec.heads),
    'llama.attention.head_count_kv': count(spec.kvHeads),
    'llama.attention.layer_norm_rms_epsilon': { type: 'float32', value: spec.normEpsilon },
    'llama.rope.dimension_count': count(spec.headDim),
    'tokenizer.ggml.model': { type: 'string', value: 'llama' },
    'tokenizer.ggml.tokens': { type: 'strings', value: pieces.map(({ text }) => text) },
    'tokenizer.ggml.scores': { type: 'float32s', value: pieces.map(({ score }) => score) },
    'tokenizer.ggml.token_type': { type: 'int32s', value: pieces.map(({ kind }) => numberOf(kind)) },
    'tokenizer.ggml.bos_token_id': count(bosId),
    'tokenizer.ggml.eos_token_id': count(eosId),
  } as const
}

/** Rotary pairs that are halves of a head become neighbours, as llama.cpp turns them. */
function neighbours(matrix: Matrix, headDim: number): Matrix {
  const half = headDim / 2
  return rearrangeRows(matrix, headDim, headDim, (row) => (row < half ? 2 * row : 2 * (row - half) + 1))
}

function vector(name: string, data: Float32Array): GgufTensor {
  return {
    name: `${name}.weight`,
    shape: [data.length],
    type: FLOATS,
    bytes: new Uint8Array(data.slice().buffer),
  }
}

function matrix(name: string, { rows, columns, blocks }: Matrix): GgufTensor {
  const found = blocks?.(0, rows)
  if (found === undefined) throw new Error(`${name} is not in blocks of 4 bits`)
  const halves = new Uint8Array(toFloat16(found.scales).buffer)
  const bytes = new Uint8Array(found.scales.length * BLOCK_BYTES)
  for (let block = 0; block < found.scales.length; block++) {
    const at = block * BLOCK_BYTES
    bytes.set(halves.subarray(2 * block, 2 * block + 2), at)
    // Byte i holds weight i and weight i + 16; in ours neighbours share one.
    const nibble = (index: number): number =>
      ((found.values[(block * Q4_BLOCK + index) >> 1] ?? 0) >> (4 * (index % 2))) & 15
    for (let i = 0; i < 16; i++) bytes[at + 2 + i] = nibble(i) | (nibble(i + 16) << 4)
  }
  return { name: `${name}.weight`, shape: [rows, columns], type: Q4_0, bytes }
}
