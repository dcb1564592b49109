import { AttentionShape } from './attention'
import { KvCache, blockBytes } from './kv-cache'
import { Matrix, PANEL_ROWS, panelBytes, panelScaleBytes } from './matrix'
import { Batch, Layer, Model, Scratch } from './model'
import { Team } from './team'

/*
 * What JavaScript calls. Addresses are of the imported memory, which JavaScript lays out; records are filled by the `set` functions, in the order
 * of their fields, so that their layout is known here only.
 */

export { activationBytes, prepare } from './activations'
export { MAX_ROWS, attend } from './attention'
export { dismiss, forward, serve } from './decoder'
export { embed } from './embedding'
export { softcap } from './exponential'
export { applyGate } from './gate'
export { packFloat16, packFloat32, packInt8, packUint4, packUint4Scales } from './interleave'
export { BLOCK_TOKENS, blockBytes, copyBlock, keysOf, storeHead } from './kv-cache'
export { rmsNorm } from './norm'
export { product } from './product'
export { rotate } from './rotary'
export { selectTop } from './select'
export { readAll } from './bandwidth'

export const MATRIX_BYTES: i32 = offsetof<Matrix>()
export const ATTENTION_SHAPE_BYTES: i32 = offsetof<AttentionShape>()
export const KV_CACHE_BYTES: i32 = offsetof<KvCache>()
export const LAYER_BYTES: i32 = offsetof<Layer>()
export const MODEL_BYTES: i32 = offsetof<Model>()
export const SCRATCH_BYTES: i32 = offsetof<Scratch>()
export const BATCH_BYTES: i32 = offsetof<Batch>()
export const TEAM_BYTES: i32 = offsetof<Team>()

/** Bytes that the values and the scales of a matrix take. */
export function valuesBytes(matrix: Matrix): usize {
  return panelsOf(matrix) * <usize>panelBytes(matrix.kind, matrix.columns)
}

export function scalesBytes(matrix: Matrix): usize {
  return panelsOf(matrix) * <usize>panelScaleBytes(matrix)
}

function panelsOf(matrix: Matrix): usize {
  return <usize>((matrix.rows + PANEL_ROWS - 1) / PANEL_ROWS)
}

export function setMatrix(
  matrix: Matrix,
  kind: i32,
  rows: i32,
  columns: i32,
  values: usize,
  scales: usize,
  scaleStep: i32,
  scaleFactor: f32,
  bias: usize,
): void {
  matrix.kind = kind
  matrix.rows = rows
  matrix.columns = columns
  matrix.values = values
  matrix.scales = scales
  matrix.scaleStep = scaleStep
  matrix.scaleFactor = scaleFactor
  matrix.bias = bias
}

export function setAttentionShape(
  shape: AttentionShape,
  group: i32,
  queryStride: i32,
  outStride: i32,
  window: i32,
  scale: f32,
  softcap: f32,
): void {
  shape.group = group
  shape.queryStride = queryStride
  shape.outStride = outStride
  shape.window = window
  shape.scale = scale
  shape.softcap = softcap
}

export function setKvCache(
  cache: KvCache,
  base: usize,
  kind: i32,
  layers: i32,
  kvHeads: i32,
  headDim: i32,
  slabBlocks: i32,
): void {
  cache.base = base
  cache.kind = kind
  cache.layers = layers
  cache.kvHeads = kvHeads
  cache.headDim = headDim
  cache.slabBlocks = slabBlocks
}

export function setLayer(
  layer: Layer,
  attentionNorm: usize,
  attentionPostNorm: usize,
  feedForwardNorm: usize,
  feedForwardPostNorm: usize,
  queryNorm: usize,
  keyNorm: usize,
  queryKeyValue: Matrix,
  output: Matrix,
  gate: Matrix,
  up: Matrix,
  down: Matrix,
  attention: AttentionShape,
  cos: usize,
  sin: usize,
): void {
  layer.attentionNorm = attentionNorm
  layer.attentionPostNorm = attentionPostNorm
  layer.feedForwardNorm = feedForwardNorm
  layer.feedForwardPostNorm = feedForwardPostNorm
  layer.queryNorm = queryNorm
  layer.keyNorm = keyNorm
  layer.queryKeyValue = queryKeyValue
  layer.output = output
  layer.gate = gate
  layer.up = up
  layer.down = down
  layer.attention = attention
  layer.cos = cos
  layer.sin = sin
}

export function setModel(
  model: Model,
  hiddenSize: i32,
  heads: i32,
  kvHeads: i32,
  headDim: i32,
  feedForwardSize: i32,
  vocabSize: i32,
  activation: i32,
  normEpsilon: f32,
  embeddingScale: f32,
  logitsSoftcap: f32,
  embedding: Matrix,
  lmHead: Matrix,
  finalNorm: usize,
  layers: i32,
  firstLayer: usize,
  cache: KvCache,
  scratch: Scratch,
  team: Team,
): void {
  model.hiddenSize = hiddenSize
  model.heads = heads
  model.kvHeads = kvHeads
  model.headDim = headDim
  model.feedForwardSize = feedForwardSize
  model.vocabSize = vocabSize
  model.activation = activation
  model.normEpsilon = normEpsilon
  model.embeddingScale = embeddingScale
  model.logitsSoftcap = logitsSoftcap
  model.embedding = embedding
  model.lmHead = lmHead
  model.finalNorm = finalNorm
  model.layers = layers
  model.firstLayer = firstLayer
  model.cache = cache
  model.scratch = scratch
  model.team = team
}

export function setScratch(
  scratch: Scratch,
  hidden: usize,
  delta: usize,
  normed: usize,
  normedStride: i32,
  activations: usize,
  queryKeyValue: usize,
  attended: usize,
  attendedStride: i32,
  gate: usize,
  up: usize,
  gateStride: i32,
  scores: usize,
  scoresStride: i32,
): void {
  scratch.hidden = hidden
  scratch.delta = delta
  scratch.normed = normed
  scratch.normedStride = normedStride
  scratch.activations = activations
  scratch.queryKeyValue = queryKeyValue
  scratch.attended = attended
  scratch.attendedStride = attendedStride
  scratch.gate = gate
  scratch.up = up
  scratch.gateStride = gateStride
  scratch.scores = scores
  scratch.scoresStride = scoresStride
}

export function setBatch(
  batch: Batch,
  tokens: i32,
  ids: usize,
  positions: usize,
  runOf: usize,
  runs: i32,
  firstToken: usize,
  tables: usize,
  outputs: i32,
  outputTokens: usize,
  logits: usize,
  tops: usize,
  maxTop: i32,
  topIds: usize,
  topValues: usize,
): void {
  batch.tokens = tokens
  batch.ids = ids
  batch.positions = positions
  batch.runOf = runOf
  batch.runs = runs
  batch.firstToken = firstToken
  batch.tables = tables
  batch.outputs = outputs
  batch.outputTokens = outputTokens
  batch.logits = logits
  batch.tops = tops
  batch.maxTop = maxTop
  batch.topIds = topIds
  batch.topValues = topValues
}
