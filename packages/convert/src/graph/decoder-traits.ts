import type { DecoderTraits, TensorEntry } from '@tabserve/protocol'
import type { DecoderSpec } from './decoder-spec.ts'

/** What the manifest says of a decoder besides its graph. */
export function decoderTraits(spec: DecoderSpec, tensors: readonly TensorEntry[]): DecoderTraits {
  const { normEpsilon, attentionScale, activation, embeddingScale, attentionSoftcap, logitsSoftcap } = spec
  return {
    feedForwardSize: spec.layers[0]?.gate.rows ?? 0,
    normEpsilon,
    attentionScale,
    activation,
    embeddingScale,
    ...(attentionSoftcap === undefined ? {} : { attentionSoftcap }),
    ...(logitsSoftcap === undefined ? {} : { logitsSoftcap }),
    windows: spec.layers.map(({ window }) => window),
    rotaries: spec.layers.map(({ rotary }) => rotary),
    tensors,
  }
}
