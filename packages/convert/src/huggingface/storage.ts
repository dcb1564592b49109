import type { Architecture } from '../architectures/architecture.ts'
import type { Storage } from '../architectures/assemble.ts'

/** Names of a Hugging Face checkpoint: every architecture's own, below `model.`. */
export function huggingFaceStorage({ parts, normsAddOne }: Architecture): Storage {
  return {
    embedding: 'model.embed_tokens',
    finalNorm: 'model.norm',
    lmHead: 'lm_head',
    part: (layer, part) => {
      const name = parts[part]
      return name === undefined ? undefined : `model.layers.${layer}.${name}`
    },
    ignored: /\.rotary_emb\.inv_freq$/,
    normsAddOne,
    rotaryInterleaved: false,
  }
}
