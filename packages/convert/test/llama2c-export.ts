import type { Llama2cCheckpoint } from '../src/checkpoint/llama2c.ts'
import type { Vocabulary } from '../src/tokenizer/pieces.ts'
import { ggufBytes } from './write-gguf.ts'
import type { PlainTensor } from './write-safetensors.ts'

/** Kinds of pieces by their number in GGUF. */
const TYPES = { text: 1, unknown: 2, control: 3, 'user-defined': 4, unused: 5, byte: 6 } as const

/** A llama2.c checkpoint as llama.cpp's own converter would write it: neighbouring rotary rows, which llama2.c has too. */
export function llama2cGguf(
  checkpoint: Llama2cCheckpoint,
  vocabulary: Vocabulary,
  version: number,
): Uint8Array {
  const { dim, hiddenDim, layers, heads, kvHeads, contextLength } = checkpoint.header
  const count = (value: number) => ({ type: 'uint32', value }) as const
  const metadata = {
    'general.architecture': { type: 'string', value: 'llama' },
    'llama.block_count': count(layers),
    'llama.context_length': count(contextLength),
    'llama.embedding_length': count(dim),
    'llama.feed_forward_length': count(hiddenDim),
    'llama.attention.head_count': count(heads),
    'llama.attention.head_count_kv': count(kvHeads),
    'llama.attention.layer_norm_rms_epsilon': { type: 'float32', value: 1e-5 },
    'tokenizer.ggml.model': { type: 'string', value: 'llama' },
    'tokenizer.ggml.tokens': { type: 'strings', value: vocabulary.pieces.map(({ text }) => text) },
    'tokenizer.ggml.scores': { type: 'float32s', value: vocabulary.pieces.map(({ score }) => score) },
    'tokenizer.ggml.token_type': { type: 'int32s', value: vocabulary.pieces.map(({ kind }) => TYPES[kind]) },
    'tokenizer.ggml.bos_token_id': count(vocabulary.bosId),
    'tokenizer.ggml.eos_token_id': count(vocabulary.eosId),
  } as const
  const names = [
    'token_embd',
    'output_norm',
    'blk.*.attn_norm',
    'blk.*.attn_q',
    'blk.*.attn_k',
    'blk.*.attn_v',
  ]
  names.push('blk.*.attn_output', 'blk.*.ffn_norm', 'blk.*.ffn_gate', 'blk.*.ffn_up', 'blk.*.ffn_down')
  const tensors = named(checkpoint, names, (data) => data)
  return ggufBytes(
    metadata,
    [...tensors].map(([name, { shape, data }]) => {
      const bytes = new Uint8Array(data.slice().buffer)
      return { name, shape, type: 0, bytes }
    }),
    version,
  )
}

/** The same weights under Hugging Face's names, rotary rows of each head in halves. */
export function llama2cHuggingFace(checkpoint: Llama2cCheckpoint): Map<string, PlainTensor> {
  const { dim, heads } = checkpoint.header
  const layer = 'model.layers.*'
  const attention = `${layer}.self_attn`
  const names = ['model.embed_tokens', 'model.norm', `${layer}.input_layernorm`]
  names.push(`${attention}.q_proj`, `${attention}.k_proj`, `${attention}.v_proj`, `${attention}.o_proj`)
  names.push(`${layer}.post_attention_layernorm`, `${layer}.mlp.gate_proj`, `${layer}.mlp.up_proj`)
  names.push(`${layer}.mlp.down_proj`)
  return named(checkpoint, names, (data) => inHalves(data, dim, dim / heads))
}

/** Names in the order: embedding, final norm, attention norm, q, k, v, o, feed-forward norm, gate, up, down. */
function named(
  { header, weights }: Llama2cCheckpoint,
  names: readonly string[],
  turning: (data: Float32Array) => Float32Array,
): Map<string, PlainTensor> {
  const { dim, hiddenDim, vocabSize, layers, heads, kvHeads } = header
  const kv = (dim / heads) * kvHeads
  const [embedding, finalNorm, ...perLayer] = names
  const tensors = new Map<string, PlainTensor>([
    [`${embedding}.weight`, { shape: [vocabSize, dim], data: weights.embedding }],
    [`${finalNorm}.weight`, { shape: [dim], data: weights.finalNorm }],
  ])
  const { attentionNorms, query, key, value, output, feedForwardNorms, w1, w2, w3 } = weights
  const sources = [attentionNorms, query, key, value, output, feedForwardNorms, w1, w3, w2]
  const shapes = [[dim], [dim, dim], [kv, dim], [kv, dim], [dim, dim], [dim]]
  shapes.push([hiddenDim, dim], [hiddenDim, dim], [dim, hiddenDim])
  for (let layer = 0; layer < layers; layer++) {
    perLayer.forEach((name, index) => {
      const shape = shapes[index]!
      const size = shape.reduce((a, b) => a * b, 1)
      const data = sources[index]!.subarray(layer * size, (layer + 1) * size)
      const turns = index === 1 || index === 2
      tensors.set(`${name.replace('*', String(layer))}.weight`, { shape, data: turns ? turning(data) : data })
    })
  }
  return tensors
}

function inHalves(data: Float32Array, columns: number, headDim: number): Float32Array {
  const rows = Array.from({ length: data.length / columns }, (_, row) =>
    data.subarray(row * columns, (row + 1) * columns),
  )
  const ordered = rows.map((_, row) => {
    const head = row - (row % headDim)
    const place = row % headDim
    const half = headDim / 2
    return rows[head + (place < half ? 2 * place : 2 * (place - half) + 1)]!
  })
  return Float32Array.from(ordered.flatMap((row) => [...row]))
}
