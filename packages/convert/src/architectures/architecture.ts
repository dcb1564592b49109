import type { DecoderTraits } from '@tabserve/protocol'

/** What a layer is made of, in a checkpoint; biases go with their matrices. */
export type LayerPart =
  | 'attentionNorm'
  | 'query'
  | 'key'
  | 'value'
  | 'queryNorm'
  | 'keyNorm'
  | 'output'
  | 'attentionPostNorm'
  | 'feedForwardNorm'
  | 'gate'
  | 'up'
  | 'down'
  | 'feedForwardPostNorm'

/** A family of decoders: what it computes differently, and what Hugging Face calls its weights. */
export interface Architecture {
  readonly name: string
  readonly activation: DecoderTraits['activation']
  /** Norm weights are stored as what is added to one (Gemma). */
  readonly normsAddOne: boolean
  readonly embeddingScale: (hiddenSize: number) => number
  /** Of `hiddenSize` and so on in config.json, where a layer sees only some positions: one a layer, 0 for all. */
  readonly windows: (config: WindowConfig) => number[]
  /** Below `model.layers.{i}.`: what the layer is made of, every part of it. */
  readonly parts: Readonly<Partial<Record<LayerPart, string>>>
}

/** The fields of a configuration that windows depend on, `undefined` where it does not say them. */
export interface WindowConfig {
  readonly layers: number
  readonly slidingWindow: number | undefined
  readonly useSlidingWindow: boolean | undefined
  readonly maxWindowLayers: number | undefined
  /** Every how-manieth layer sees all. */
  readonly pattern: number | undefined
}

/** Parts that all of them have under the same names. */
export const COMMON_PARTS = {
  attentionNorm: 'input_layernorm',
  query: 'self_attn.q_proj',
  key: 'self_attn.k_proj',
  value: 'self_attn.v_proj',
  output: 'self_attn.o_proj',
  gate: 'mlp.gate_proj',
  up: 'mlp.up_proj',
  down: 'mlp.down_proj',
} as const

/** A norm before each half of a block. */
export const PRE_NORM_PARTS = { ...COMMON_PARTS, feedForwardNorm: 'post_attention_layernorm' } as const

/** Norms before and after each half (Gemma 2 and 3). */
export const SANDWICH_NORM_PARTS = {
  ...COMMON_PARTS,
  attentionPostNorm: 'post_attention_layernorm',
  feedForwardNorm: 'pre_feedforward_layernorm',
  feedForwardPostNorm: 'post_feedforward_layernorm',
} as const

export const HEAD_NORM_PARTS = { queryNorm: 'self_attn.q_norm', keyNorm: 'self_attn.k_norm' } as const
