import type { Address, KernelExports, KvKind } from '@tabserve/kernels'
import { ACTIVATION, MATRIX_KIND } from '@tabserve/kernels'
import type { DecoderGraph, DecoderTraits } from '@tabserve/protocol'
import type { KernelHeap } from './kernel-heap.ts'
import { KernelWeights } from './kernel-weights.ts'
import type { WeightSink } from './weight-stream.ts'

/** How large a model's working memory is. */
export interface KernelRoom {
  readonly contextLength: number
  /** Tokens of the largest step. */
  readonly tokens: number
  readonly threads: number
  readonly kvKind: KvKind
}

/** A decoder laid out in the heap; its weights are there once the sinks have had them. */
export interface KernelModel {
  readonly model: Address
  readonly cache: Address
  readonly blockBytes: number
  readonly sinks: readonly WeightSink[]
  /** Says where the pool of KV blocks begins, behind everything else, and how many blocks' KV lies together. */
  place(pool: Address, slabBlocks: number): void
}

/** Allocates and fills the records of `assembly/model.ts`. */
export function layOutModel(
  kernels: KernelExports,
  heap: KernelHeap,
  graph: DecoderGraph,
  traits: DecoderTraits,
  room: KernelRoom,
): KernelModel {
  const weights = new KernelWeights(kernels, heap, traits.tensors)
  const { layers, heads, kvHeads, headDim, hiddenSize, vocabSize } = graph
  const model = record(heap, kernels.MODEL_BYTES)
  const cache = record(heap, kernels.KV_CACHE_BYTES)
  const scratch = record(heap, kernels.SCRATCH_BYTES)
  const team = record(heap, kernels.TEAM_BYTES)
  const layerBytes = kernels.LAYER_BYTES.value as number
  const firstLayer = heap.allocate(layers * layerBytes)
  const place = (pool: Address, slabBlocks: number) =>
    kernels.setKvCache(cache, pool, room.kvKind, layers, kvHeads, headDim, slabBlocks)
  place(0, 1)
  for (let layer = 0; layer < layers; layer++)
    setLayer(kernels, heap, weights, graph, traits, room, layer, firstLayer + layer * layerBytes)
  const embedding = weights.matrix('embedding')
  kernels.setModel(
    model,
    hiddenSize,
    heads,
    kvHeads,
    headDim,
    traits.feedForwardSize,
    vocabSize,
    ACTIVATION[traits.activation],
    traits.normEpsilon,
    traits.embeddingScale,
    traits.logitsSoftcap ?? 0,
    embedding,
    weights.has('lm_head.weight') ? weights.matrix('lm_head') : embedding,
    weights.floats('final_norm.weight'),
    layers,
    firstLayer,
    cache,
    scratch,
    team,
  )
  setScratch(kernels, heap, graph, traits, room, scratch)
  return { model, cache, blockBytes: kernels.blockBytes(cache), sinks: weights.sinks, place }
}

function setLayer(
  kernels: KernelExports,
  heap: KernelHeap,
  weights: KernelWeights,
  { heads, kvHeads, headDim }: DecoderGraph,
  traits: DecoderTraits,
  { contextLength }: KernelRoom,
  index: number,
  at: Address,
): void {
  const name = `layers.${index}`
  const attention = record(heap, kernels.ATTENTION_SHAPE_BYTES)
  kernels.setAttentionShape(
    attention,
    heads / kvHeads,
    (heads + 2 * kvHeads) * headDim,
    padded(heads * headDim),
    traits.windows[index] ?? 0,
    traits.attentionScale,
    traits.attentionSoftcap ?? 0,
  )
  const rotary = traits.rotaries[index] ?? 'rotary'
  const numAngles = (contextLength * headDim) / 2
  kernels.setLayer(
    at,
    weights.floats(`${name}.attention_norm.weight`),
    weights.floats(`${name}.attention_post_norm.weight`),
    weights.floats(`${name}.feed_forward_norm.weight`),
    weights.floats(`${name}.feed_forward_post_norm.weight`),
    weights.floats(`${name}.attention.query_norm.weight`),
    weights.floats(`${name}.attention.key_norm.weight`),
    weights.matrix(`${name}.attention.query_key_value`),
    weights.matrix(`${name}.attention.output`),
    weights.matrix(`${name}.feed_forward.gate`),
    weights.matrix(`${name}.feed_forward.up`),
    weights.matrix(`${name}.feed_forward.down`),
    attention,
    weights.floats(`${rotary}.cos`, numAngles),
    weights.floats(`${rotary}.sin`, numAngles),
  )
}

function setScratch(
  kernels: KernelExports,
  heap: KernelHeap,
  { heads, kvHeads, headDim, hiddenSize }: DecoderGraph,
  { feedForwardSize }: DecoderTraits,
  { tokens, threads, contextLength }: KernelRoom,
  at: Address,
): void {
  const floats = (count: number) => heap.allocate(4 * count)
  const widest = Math.max(hiddenSize, heads * headDim, feedForwardSize)
  const inputBytes = Math.max(
    ...Object.values(MATRIX_KIND).map((kind) => kernels.activationBytes(kind, widest)),
  )
  const attendedStride = padded(heads * headDim)
  const gateStride = padded(feedForwardSize)
  // One row of scores for each of the heads and tokens that share a read, and one block more: a window may begin inside one.
  const blockTokens = kernels.BLOCK_TOKENS.value as number
  const numBlocks = Math.ceil(contextLength / blockTokens) + 1
  const scoresStride = (kernels.MAX_ROWS.value as number) * blockTokens * numBlocks
  kernels.setScratch(
    at,
    floats(tokens * hiddenSize),
    floats(tokens * hiddenSize),
    floats(threads * padded(hiddenSize)),
    padded(hiddenSize),
    heap.allocate(tokens * inputBytes),
    floats(tokens * (heads + 2 * kvHeads) * headDim),
    floats(tokens * attendedStride),
    attendedStride,
    floats(tokens * gateStride),
    floats(tokens * gateStride),
    gateStride,
    floats(threads * scoresStride),
    scoresStride,
  )
}

function record(heap: KernelHeap, bytes: WebAssembly.Global): Address {
  return heap.allocate(bytes.value as number)
}

/** Rounded up to whole quantisation blocks; what is behind the real size stays zero. */
function padded(size: number): number {
  return 32 * Math.ceil(size / 32)
}
