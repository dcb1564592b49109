import type { Architecture, LayerPart } from '../architectures/architecture.ts'
import type { Storage } from '../architectures/assemble.ts'

/** Below `blk.{i}.`, the same for every architecture (gguf-py/gguf/constants.py in github.com/ggml-org/llama.cpp). */
const PARTS: Readonly<Record<LayerPart, string>> = {
  attentionNorm: 'attn_norm',
  query: 'attn_q',
  key: 'attn_k',
  value: 'attn_v',
  queryNorm: 'attn_q_norm',
  keyNorm: 'attn_k_norm',
  output: 'attn_output',
  attentionPostNorm: 'post_attention_norm',
  feedForwardNorm: 'ffn_norm',
  gate: 'ffn_gate',
  up: 'ffn_up',
  down: 'ffn_down',
  feedForwardPostNorm: 'post_ffw_norm',
}

/** llama.cpp adds the one to Gemma's norms when it converts, and interleaves the rotary rows of what it calls llama. */
export function ggufStorage({ name, parts }: Architecture): Storage {
  return {
    embedding: 'token_embd',
    finalNorm: 'output_norm',
    lmHead: 'output',
    part: (layer, part) => (parts[part] === undefined ? undefined : `blk.${layer}.${PARTS[part]}`),
    ignored: /^rope_freqs\.weight$|\.attn_rot_embd\.weight$/,
    normsAddOne: false,
    rotaryInterleaved: name === 'llama' || name === 'mistral',
  }
}
