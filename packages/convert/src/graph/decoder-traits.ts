import type { DecoderTraits, TensorEntry } from '@tabserve/protocol'
import type { DecoderSpec } from './decoder-spec.ts'

/** What the manifest says of a decoder besides its graph. */
export function decoderTraits(spec: DecoderSpec, tensors: readonly TensorEntry[]): DecoderTraits {
  return {
    feedForwardSize: spec.layers[0]?.gate.rows ?? 0,
    normEpsilon: spec.normEpsilon,
    attentionScale: spec.attentionScale,
    activation: 'silu',
    embeddingScale: 1,
    windows: spec.layers.map(() => 0),
    rotaries: spec.layers.map(() => 'rotary'),
    tensors,
  }
}
