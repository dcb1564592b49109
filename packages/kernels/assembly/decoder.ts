import { prepare, activationBytes } from './activations'
import { MAX_ROWS, attend } from './attention'
import { embed } from './embedding'
import { softcap } from './exponential'
import { applyGate } from './gate'
import { BLOCK_TOKENS, keysOf, storeHead } from './kv-cache'
import { Matrix, PANEL_ROWS } from './matrix'
import { Batch, Layer, Model } from './model'
import { add, rmsNorm } from './norm'
import { product } from './product'
import { rotate } from './rotary'
import { selectTop } from './select'
import { awaitStep, callTeam, meet } from './team'

/*
 * One forward pass, the same program on every thread. Between two phases the threads meet; within one they share the tokens (token t is thread
 * t mod threads's), the output rows of a matrix (a range each), or the attention items. No result depends on how the work is cut.
 */

/** Runs a step on this thread and the helpers. */
export function forward(model: Model, batch: Batch, threads: i32): void {
  callTeam(model.team, threads, false)
  run(model, batch, 0, threads)
}

/** A helper's life: returns when the team is over. */
export function serve(model: Model, batch: Batch, thread: i32, threads: i32): void {
  let step = 0
  for (;;) {
    step = awaitStep(model.team, step)
    if (step < 0) return
    run(model, batch, thread, threads)
  }
}

/** Sends the helpers home. */
export function dismiss(model: Model, threads: i32): void {
  callTeam(model.team, threads, true)
}

function run(model: Model, batch: Batch, thread: i32, threads: i32): void {
  const scratch = model.scratch
  const tokens = batch.tokens
  for (let token = thread; token < tokens; token += threads) {
    const id = load<i32>(batch.ids + ((<usize>token) << 2))
    embed(model.embedding, id, model.embeddingScale, hiddenOf(model, token))
  }
  let postNorm: usize = 0
  for (let index = 0; index < model.layers; index++) {
    const layer = changetype<Layer>(model.firstLayer + <usize>index * offsetof<Layer>())
    const attentionInput = layer.queryKeyValue
    normalize(model, batch, index > 0, postNorm, layer.attentionNorm, attentionInput, thread, threads)
    meet(model.team, threads)
    const width = (model.heads + 2 * model.kvHeads) * model.headDim
    multiply(attentionInput, scratch.activations, tokens, scratch.queryKeyValue, width, thread, threads)
    meet(model.team, threads)
    storeKeys(model, batch, layer, index, thread, threads)
    meet(model.team, threads)
    attention(model, batch, layer, index, thread, threads)
    meet(model.team, threads)
    prepareAll(
      layer.output,
      scratch.attended,
      scratch.attendedStride,
      tokens,
      scratch.activations,
      thread,
      threads,
    )
    meet(model.team, threads)
    multiply(layer.output, scratch.activations, tokens, scratch.delta, model.hiddenSize, thread, threads)
    meet(model.team, threads)
    normalize(model, batch, true, layer.attentionPostNorm, layer.feedForwardNorm, layer.gate, thread, threads)
    meet(model.team, threads)
    feedForward(model, layer, tokens, thread, threads)
    meet(model.team, threads)
    prepareAll(layer.down, scratch.gate, scratch.gateStride, tokens, scratch.activations, thread, threads)
    meet(model.team, threads)
    multiply(layer.down, scratch.activations, tokens, scratch.delta, model.hiddenSize, thread, threads)
    meet(model.team, threads)
    postNorm = layer.feedForwardPostNorm
  }
  logits(model, batch, postNorm, thread, threads)
}

/** hidden += delta, through the norm behind the block if there is one; then the norm before the next block, prepared for its matrices. */
function normalize(
  model: Model,
  batch: Batch,
  hasDelta: bool,
  postNorm: usize,
  norm: usize,
  next: Matrix,
  thread: i32,
  threads: i32,
): void {
  for (let token = thread; token < batch.tokens; token += threads) {
    if (hasDelta) addDelta(model, token, postNorm)
    prepareNormed(model, token, norm, next, token, thread)
  }
}

function addDelta(model: Model, token: i32, postNorm: usize): void {
  const size = model.hiddenSize
  const delta = model.scratch.delta + ((<usize>(token * size)) << 2)
  if (postNorm != 0) rmsNorm(delta, postNorm, size, model.normEpsilon, delta)
  add(hiddenOf(model, token), delta, size)
}

function prepareNormed(model: Model, token: i32, norm: usize, next: Matrix, place: i32, thread: i32): void {
  const scratch = model.scratch
  const size = model.hiddenSize
  const normed = scratch.normed + ((<usize>(thread * scratch.normedStride)) << 2)
  rmsNorm(hiddenOf(model, token), norm, size, model.normEpsilon, normed)
  const bytes = activationBytes(next.kind, size)
  prepare(next.kind, normed, size, scratch.activations + <usize>place * <usize>bytes)
}

function prepareAll(
  next: Matrix,
  from: usize,
  stride: i32,
  tokens: i32,
  to: usize,
  thread: i32,
  threads: i32,
): void {
  const bytes = <usize>activationBytes(next.kind, next.columns)
  for (let token = thread; token < tokens; token += threads)
    prepare(next.kind, from + ((<usize>(token * stride)) << 2), next.columns, to + <usize>token * bytes)
}

/** This thread's rows of a product. @param stride floats from one token's outputs to the next one's */
function multiply(
  matrix: Matrix,
  from: usize,
  tokens: i32,
  to: usize,
  stride: i32,
  thread: i32,
  threads: i32,
): void {
  const first = firstRow(matrix.rows, thread, threads)
  const end = firstRow(matrix.rows, thread + 1, threads)
  if (first < end) product(matrix, from, tokens, to, stride << 2, first, end)
}

/** Where a thread's share of the rows begins: a whole panel. */
@inline
function firstRow(rows: i32, thread: i32, threads: i32): i32 {
  const panels = (rows + PANEL_ROWS - 1) / PANEL_ROWS
  return min(rows, ((panels * thread) / threads) * PANEL_ROWS)
}

/** Norms and turns queries and keys, and keeps keys and values. */
function storeKeys(model: Model, batch: Batch, layer: Layer, index: i32, thread: i32, threads: i32): void {
  const size = model.headDim
  for (let token = thread; token < batch.tokens; token += threads) {
    const position = load<i32>(batch.positions + ((<usize>token) << 2))
    const turn = (<usize>(position * (size >> 1))) << 2
    const first = queryKeyValueOf(model, token)
    for (let head = 0; head < model.heads + model.kvHeads; head++) {
      const at = first + ((<usize>(head * size)) << 2)
      const norm = head < model.heads ? layer.queryNorm : layer.keyNorm
      if (norm != 0) rmsNorm(at, norm, size, model.normEpsilon, at)
      rotate(at, size, layer.cos + turn, layer.sin + turn)
    }
    const block = load<i32>(tableOf(batch, token) + ((<usize>(position / BLOCK_TOKENS)) << 2))
    for (let head = 0; head < model.kvHeads; head++) {
      const key = first + ((<usize>((model.heads + head) * size)) << 2)
      const value = key + ((<usize>(model.kvHeads * size)) << 2)
      storeHead(model.cache, keysOf(model.cache, block, index, head), position % BLOCK_TOKENS, key, value)
    }
  }
}

/** Items are tiles of neighbouring tokens of a run times the query heads of one KV head; item i is thread i mod threads's. */
function attention(model: Model, batch: Batch, layer: Layer, index: i32, thread: i32, threads: i32): void {
  const group = layer.attention.group
  const size = model.headDim
  let item = 0
  for (let run = 0; run < batch.runs; run++) {
    const first = load<i32>(batch.firstToken + ((<usize>run) << 2))
    const end = load<i32>(batch.firstToken + ((<usize>run) << 2), 4)
    // A lone token gives each head to somebody else, so that two threads have something to do; alone, heads share a read.
    const heads = threads > 1 && end - first == 1 ? 1 : min(group, MAX_ROWS)
    const tile = MAX_ROWS / heads
    for (let token = first; token < end; token += tile) {
      for (let head = 0; head < model.heads;) {
        const kvHead = head / group
        const count = min(heads, (kvHead + 1) * group - head)
        if (item++ % threads == thread) {
          const query = queryKeyValueOf(model, token) + ((<usize>(head * size)) << 2)
          const out = attendedOf(model, token) + ((<usize>(head * size)) << 2)
          const position = load<i32>(batch.positions + ((<usize>token) << 2))
          const scores = model.scratch.scores + ((<usize>(thread * model.scratch.scoresStride)) << 2)
          const tokens = min(tile, end - token)
          const table = tableOf(batch, token)
          attend(
            layer.attention,
            model.cache,
            index,
            kvHead,
            table,
            position,
            tokens,
            count,
            query,
            out,
            scores,
          )
        }
        head += count
      }
    }
  }
}

/** gate = f(gate · x) · (up · x), each thread for its own rows. */
function feedForward(model: Model, layer: Layer, tokens: i32, thread: i32, threads: i32): void {
  const scratch = model.scratch
  const stride = scratch.gateStride
  multiply(layer.gate, scratch.activations, tokens, scratch.gate, stride, thread, threads)
  multiply(layer.up, scratch.activations, tokens, scratch.up, stride, thread, threads)
  const first = firstRow(layer.gate.rows, thread, threads)
  const end = firstRow(layer.gate.rows, thread + 1, threads)
  for (let token = 0; token < tokens; token++) {
    const at = (<usize>(token * stride + first)) << 2
    applyGate(model.activation, scratch.gate + at, scratch.up + at, end - first)
  }
}

/** The last norm and the output projection, of the tokens whose logits are wanted only. */
function logits(model: Model, batch: Batch, postNorm: usize, thread: i32, threads: i32): void {
  const outputs = batch.outputs
  // Also where there is nothing to do: nobody may change the batch while a helper still looks at it.
  if (outputs == 0) return meet(model.team, threads)
  for (let output = thread; output < outputs; output += threads) {
    const token = load<i32>(batch.outputTokens + ((<usize>output) << 2))
    addDelta(model, token, postNorm)
    prepareNormed(model, token, model.finalNorm, model.lmHead, output, thread)
  }
  meet(model.team, threads)
  multiply(model.lmHead, model.scratch.activations, outputs, batch.logits, model.vocabSize, thread, threads)
  meet(model.team, threads)
  for (let output = thread; output < outputs; output += threads) {
    const at = batch.logits + ((<usize>(output * model.vocabSize)) << 2)
    if (model.logitsSoftcap > 0) softcap(at, model.vocabSize, model.logitsSoftcap)
    const top = load<i32>(batch.tops + ((<usize>output) << 2))
    const place = (<usize>(output * batch.maxTop)) << 2
    if (top > 0) selectTop(at, model.vocabSize, top, batch.topIds + place, batch.topValues + place)
  }
  meet(model.team, threads)
}


@inline
function hiddenOf(model: Model, token: i32): usize {
  return model.scratch.hidden + ((<usize>(token * model.hiddenSize)) << 2)
}


@inline
function queryKeyValueOf(model: Model, token: i32): usize {
  const width = (model.heads + 2 * model.kvHeads) * model.headDim
  return model.scratch.queryKeyValue + ((<usize>(token * width)) << 2)
}


@inline
function attendedOf(model: Model, token: i32): usize {
  return model.scratch.attended + ((<usize>(token * model.scratch.attendedStride)) << 2)
}

/** The block table of a token's sequence. */
@inline
function tableOf(batch: Batch, token: i32): usize {
  const run = load<i32>(batch.runOf + ((<usize>token) << 2))
  return <usize>load<u32>(batch.tables + ((<usize>run) << 2))
}
