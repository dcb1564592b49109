import { AttentionShape } from './attention'
import { KvCache } from './kv-cache'
import { Matrix } from './matrix'
import { Team } from './team'

/** One transformer block. Norm weights are f32 [hiddenSize]; 0 stands for what a model does not have. */
@unmanaged
export class Layer {
  attentionNorm: usize
  attentionPostNorm: usize
  feedForwardNorm: usize
  feedForwardPostNorm: usize
  /** f32 [headDim]. */
  queryNorm: usize
  keyNorm: usize
  queryKeyValue: Matrix
  output: Matrix
  gate: Matrix
  up: Matrix
  down: Matrix
  attention: AttentionShape
  /** f32 [contextLength, headDim/2]. */
  cos: usize
  sin: usize
}

/** A decoder in the heap. */
@unmanaged
export class Model {
  hiddenSize: i32
  heads: i32
  kvHeads: i32
  headDim: i32
  feedForwardSize: i32
  vocabSize: i32
  activation: i32
  normEpsilon: f32
  embeddingScale: f32
  logitsSoftcap: f32
  embedding: Matrix
  lmHead: Matrix
  finalNorm: usize
  layers: i32
  /** `Layer` behind `Layer`. */
  firstLayer: usize
  cache: KvCache
  scratch: Scratch
  team: Team
}

/**
 * What a step of T tokens writes on its way. Strides are in floats; `padded` sizes are rounded up to 32, and what is behind the real size stays
 * zero from the beginning.
 */
@unmanaged
export class Scratch {
  /** f32 [T, hiddenSize]: the residual stream, and what a block adds to it. */
  hidden: usize
  delta: usize
  /** f32 [threads, padded hiddenSize]. */
  normed: usize
  normedStride: i32
  /** Prepared inputs of the next product. */
  activations: usize
  /** f32 [T, (heads + 2 kvHeads) · headDim]. */
  queryKeyValue: usize
  /** f32 [T, padded heads · headDim]. */
  attended: usize
  attendedStride: i32
  /** f32 [T, padded feedForwardSize], twice. */
  gate: usize
  up: usize
  gateStride: i32
  /** f32 [threads, scoresStride]. */
  scores: usize
  scoresStride: i32
}

/** What one step computes. */
@unmanaged
export class Batch {
  /** Tokens, run by run. */
  tokens: i32
  /** i32 [tokens] each: ids, positions, and the runs that they belong to. */
  ids: usize
  positions: usize
  runOf: usize
  runs: i32
  /** i32 [runs]: the first token of each run; then one more, the number of tokens. */
  firstToken: usize
  /** usize [runs]: block tables, i32 each. */
  tables: usize
  /** Logits wanted, and i32 [outputs]: of which tokens. */
  outputs: i32
  outputTokens: usize
  /** f32 [outputs, vocabSize]. */
  logits: usize
  /** i32 [outputs]: how many of the largest logits to pick out; 0: none. Picks lie `maxTop` apart. */
  tops: usize
  maxTop: i32
  topIds: usize
  topValues: usize
}
