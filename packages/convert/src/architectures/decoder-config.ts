import type { RotaryScaling } from '../graph/rotary-scaling.ts'

/** A model's numbers, whether a config.json or the metadata of a GGUF file said them. */
export interface DecoderConfig {
  readonly hiddenSize: number
  readonly feedForwardSize: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly vocabSize: number
  /** Positions that the model was made for. */
  readonly contextLength: number
  readonly normEpsilon: number
  readonly attentionScale: number
  readonly rotary: { readonly theta: number; readonly scaling: RotaryScaling | undefined }
  /** Of layers with a window, where they turn otherwise (Gemma 3). */
  readonly localRotaryTheta?: number | undefined
  /** One a layer; 0: all positions. */
  readonly windows: readonly number[]
  readonly attentionSoftcap?: number | undefined
  readonly logitsSoftcap?: number | undefined
  /** `undefined`: tied if there is no output projection. */
  readonly tied: boolean | undefined
}
