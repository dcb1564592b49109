/** The shape of llama2.c's stories15M: what a step costs does not depend on what the weights are. */
export const SHAPE_15M = {
  hiddenSize: 288,
  layers: 6,
  heads: 6,
  kvHeads: 6,
  hiddenDim: 768,
  vocabSize: 32000,
} as const

/** The shape of SmolLM2-135M. */
export const SHAPE_135M = {
  hiddenSize: 576,
  layers: 30,
  heads: 9,
  kvHeads: 3,
  hiddenDim: 1536,
  vocabSize: 49152,
} as const

/** Small enough for a software GPU. */
export const SHAPE_TINY = {
  hiddenSize: 64,
  layers: 2,
  heads: 4,
  kvHeads: 2,
  hiddenDim: 192,
  vocabSize: 4096,
} as const
