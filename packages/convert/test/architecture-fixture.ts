import { NormalSource } from '../src/normal-source.ts'
import type { PlainTensor } from './write-safetensors.ts'

/** A config.json of a tiny model and weights under Hugging Face's names, all of them random, norms near one (or near zero for Gemma). */
export interface TinyModel {
  readonly config: Readonly<Record<string, unknown>>
  readonly tensors: Map<string, PlainTensor>
}

const BASE = {
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 3,
  num_attention_heads: 4,
  num_key_value_heads: 2,
  vocab_size: 288,
  max_position_embeddings: 64,
  rms_norm_eps: 1e-5,
  eos_token_id: [2, 5],
} as const

/** As the published configurations of each family are, but tiny. */
export const TINY_CONFIGS = {
  llama: { ...BASE, model_type: 'llama', rope_theta: 500000, tie_word_embeddings: false },
  'llama with biases': { ...BASE, model_type: 'llama', attention_bias: true, mlp_bias: true },
  'llama 3.1': {
    ...BASE,
    model_type: 'llama',
    rope_theta: 500,
    rope_scaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 16,
    },
  },
  'llama, linear scaling': {
    ...BASE,
    model_type: 'llama',
    rope_scaling: { type: 'linear', factor: 4 },
    hidden_act: 'silu',
  },
  mistral: { ...BASE, model_type: 'mistral', head_dim: 32, sliding_window: 4, tie_word_embeddings: false },
  qwen2: {
    ...BASE,
    model_type: 'qwen2',
    tie_word_embeddings: true,
    use_sliding_window: false,
    sliding_window: 32,
  },
  'qwen2, yarn': {
    ...BASE,
    model_type: 'qwen2',
    rope_theta: 1000,
    rope_scaling: { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 16 },
  },
  qwen3: { ...BASE, model_type: 'qwen3', head_dim: 32, rms_norm_eps: 1e-6 },
  gemma2: {
    ...BASE,
    model_type: 'gemma2',
    hidden_activation: 'gelu_pytorch_tanh',
    head_dim: 16,
    query_pre_attn_scalar: 24,
    sliding_window: 4,
    attn_logit_softcapping: 2,
    final_logit_softcapping: 3,
  },
  gemma3: {
    ...BASE,
    model_type: 'gemma3_text',
    hidden_activation: 'gelu_pytorch_tanh',
    head_dim: 32,
    query_pre_attn_scalar: 32,
    sliding_window: 4,
    sliding_window_pattern: 2,
    rope_theta: 1_000_000,
    rope_local_base_freq: 100,
    rope_scaling: { rope_type: 'linear', factor: 8 },
    attn_logit_softcapping: null,
    final_logit_softcapping: null,
  },
} as const satisfies Readonly<Record<string, Readonly<Record<string, unknown>>>>

export type TinyName = keyof typeof TINY_CONFIGS

export function tinyModel(name: TinyName, seed = 11): TinyModel {
  const config: Readonly<Record<string, unknown>> = TINY_CONFIGS[name]
  const source = new NormalSource(seed)
  const tensors = new Map<string, PlainTensor>()
  const add = (tensor: string, shape: readonly number[], deviation: number, mean = 0): void => {
    const data = source.fill(new Float32Array(shape.reduce((a, b) => a * b, 1)), deviation)
    tensors.set(tensor, { shape, data: data.map((value) => Math.fround(value + mean)) })
  }
  const type = String(config['model_type'])
  const gemma = type.startsWith('gemma')
  const {
    hidden_size: width,
    intermediate_size: inner,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
  } = BASE
  const headDim = typeof config['head_dim'] === 'number' ? config['head_dim'] : width / heads
  const norm = (tensor: string, size: number): void => add(`${tensor}.weight`, [size], 0.2, gemma ? 0 : 1)
  const matrix = (tensor: string, rows: number, columns: number, bias: boolean): void => {
    add(`${tensor}.weight`, [rows, columns], 1.5 / Math.sqrt(columns))
    if (bias) add(`${tensor}.bias`, [rows], 0.3)
  }
  const attentionBias = config['attention_bias'] === true
  const feedForwardBias = config['mlp_bias'] === true
  add('model.embed_tokens.weight', [BASE.vocab_size, width], gemma ? 0.2 : 1)
  for (let i = 0; i < BASE.num_hidden_layers; i++) {
    const layer = `model.layers.${i}`
    norm(`${layer}.input_layernorm`, width)
    matrix(`${layer}.self_attn.q_proj`, heads * headDim, width, attentionBias || type === 'qwen2')
    matrix(`${layer}.self_attn.k_proj`, kvHeads * headDim, width, attentionBias || type === 'qwen2')
    matrix(`${layer}.self_attn.v_proj`, kvHeads * headDim, width, attentionBias || type === 'qwen2')
    matrix(`${layer}.self_attn.o_proj`, width, heads * headDim, attentionBias)
    if (type === 'qwen3' || type === 'gemma3_text') {
      norm(`${layer}.self_attn.q_norm`, headDim)
      norm(`${layer}.self_attn.k_norm`, headDim)
    }
    norm(`${layer}.post_attention_layernorm`, width)
    if (gemma) {
      norm(`${layer}.pre_feedforward_layernorm`, width)
      norm(`${layer}.post_feedforward_layernorm`, width)
    }
    matrix(`${layer}.mlp.gate_proj`, inner, width, feedForwardBias)
    matrix(`${layer}.mlp.up_proj`, inner, width, feedForwardBias)
    matrix(`${layer}.mlp.down_proj`, width, inner, feedForwardBias)
  }
  norm('model.norm', width)
  if (config['tie_word_embeddings'] === false) add('lm_head.weight', [BASE.vocab_size, width], 1 / 8)
  return { config, tensors }
}
