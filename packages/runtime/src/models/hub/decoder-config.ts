import type { OnnxDecoderGraph } from '@tabserve/protocol'
import { EngineError, isCount } from '@tabserve/protocol'

export type Json = Readonly<Record<string, unknown>>

/** What `config.json` says of a decoder. */
export type DecoderFacts = Omit<OnnxDecoderGraph, 'kind' | 'file' | 'externalData' | 'cache'>

/** What models call the same thing in `config.json`. */
const NAMES = {
  layers: ['num_hidden_layers', 'n_layer', 'n_layers', 'num_layers'],
  heads: ['num_attention_heads', 'n_head', 'n_heads', 'num_heads'],
  kvHeads: ['num_key_value_heads', 'num_kv_heads', 'n_head_kv'],
  hiddenSize: ['hidden_size', 'n_embd', 'd_model', 'dim'],
  headDim: ['head_dim', 'attention_head_dim', 'd_kv'],
  vocabSize: ['vocab_size'],
  contextLength: ['max_position_embeddings', 'n_positions', 'n_ctx', 'max_seq_len', 'seq_length'],
  feedForwardSize: ['intermediate_size', 'n_inner', 'ffn_dim', 'hidden_dim'],
} as const

/**
 * The numbers of a decoder. A model of several parts says them in `text_config`. Throws `bad_model` with what is missing.
 * @param address of the repository, for messages. @param contextLimit what the tokenizer was made for, used where the configuration says no context.
 */
export function decoderFacts(config: Json, address: string, contextLimit?: number): DecoderFacts {
  const text = textConfig(config)
  const need = (name: keyof typeof NAMES): number => {
    const value = count(text, name)
    if (value !== undefined) return value
    const message = `${address}config.json does not say ${NAMES[name].join(' or ')}: it is not the configuration of a text decoder.`
    throw new EngineError('bad_model', message, { file: 'config.json' })
  }
  const heads = need('heads')
  const hiddenSize = need('hiddenSize')
  return {
    architecture: String(text['model_type'] ?? config['model_type'] ?? 'unknown'),
    layers: need('layers'),
    heads,
    kvHeads: count(text, 'kvHeads') ?? (text['multi_query'] === true ? 1 : heads),
    headDim: count(text, 'headDim') ?? Math.floor(hiddenSize / heads),
    hiddenSize,
    vocabSize: need('vocabSize'),
    contextLength: count(text, 'contextLength') ?? contextLimit ?? need('contextLength'),
  }
}

/** How many weights a decoder of these numbers has: exact for the Llama family up to its norms and biases. */
export function expectedParameters(config: Json, facts: DecoderFacts): number {
  const { layers, heads, kvHeads, headDim, hiddenSize, vocabSize, contextLength } = facts
  const text = textConfig(config)
  const isGated =
    text['hidden_act'] !== undefined && /silu|swish|gelu_pytorch_tanh|swiglu/.test(String(text['hidden_act']))
  const feedForward = (isGated ? 3 : 2) * hiddenSize * (count(text, 'feedForwardSize') ?? 4 * hiddenSize)
  const attention = hiddenSize * headDim * 2 * (heads + kvHeads)
  const isTied = (text['tie_word_embeddings'] ?? config['tie_word_embeddings']) !== false
  // Rotary models name their base; others learn a vector a position.
  const learnsPositions = text['n_positions'] !== undefined || text['word_embed_proj_dim'] !== undefined
  const embeddings = hiddenSize * (vocabSize * (isTied ? 1 : 2) + (learnsPositions ? contextLength : 0))
  return Math.round(embeddings + layers * (attention + feedForward + 2 * hiddenSize) + hiddenSize)
}

function textConfig(config: Json): Json {
  const nested = config['text_config'] ?? config['llm_config'] ?? config['language_config']
  return typeof nested === 'object' && nested !== null ? (nested as Json) : config
}

function count(config: Json, name: keyof typeof NAMES): number | undefined {
  return NAMES[name].map((key) => config[key]).find(isCount)
}
