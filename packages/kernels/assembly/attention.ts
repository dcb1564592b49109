import { One, Three, Two } from './count'
import { exp4, softcap } from './exponential'
import { BLOCK_TOKENS, KvCache, KvKind, keysOf, valuesOffset } from './kv-cache'
import { addRows, addValues } from './attention-values'
import { scoreRow, scoreRows } from './attention-scores'
import { maxLane, sumLanes } from './simd'

/** How a layer attends. */
@unmanaged
export class AttentionShape {
  /** Query heads that share a KV head. */
  group: i32
  /** Floats from one token's queries to the next one's, and of the attended values. */
  queryStride: i32
  outStride: i32
  /** Positions that a token sees, its own included; 0: all. */
  window: i32
  /** Factor on query · key. */
  scale: f32
  /** cap · tanh(score / cap); 0: none. */
  softcap: f32
}

/** Rows of scores that one call of `attend` fills at most: a row is one query head of one token. */
export const MAX_ROWS: i32 = 8

/**
 * out[t][h] = Σ_p softmax_p(scale · query[t][h] · key[p]) · value[p] over the positions p that token t sees, for `tokens` neighbouring tokens of
 * one sequence and `heads` neighbouring query heads of one KV head; together at most 8 rows, so that a block of keys is read
 * once for all of them. Each row's sums run over positions in order, so they do not depend on what else is in the call.
 * @param position of the first token; the KV of all tokens of the call is in the cache.
 * @param table i32 block numbers of the sequence
 * @param query, out of the first token and the first head: f32 [headDim]
 * @param scores f32 [rows, positions rounded up to 16], of this thread
 */
export function attend(
  shape: AttentionShape,
  cache: KvCache,
  layer: i32,
  kvHead: i32,
  table: usize,
  position: i32,
  tokens: i32,
  heads: i32,
  query: usize,
  out: usize,
  scores: usize,
): void {
  if (cache.kind == KvKind.float32)
    attendOver<f32>(shape, cache, layer, kvHead, table, position, tokens, heads, query, out, scores)
  else if (cache.kind == KvKind.float16)
    attendOver<u16>(shape, cache, layer, kvHead, table, position, tokens, heads, query, out, scores)
  else attendOver<i8>(shape, cache, layer, kvHead, table, position, tokens, heads, query, out, scores)
}

function attendOver<T>(
  shape: AttentionShape,
  cache: KvCache,
  layer: i32,
  kvHead: i32,
  table: usize,
  position: i32,
  tokens: i32,
  heads: i32,
  query: usize,
  out: usize,
  scores: usize,
): void {
  const size = cache.headDim
  const rows = tokens * heads
  const last = position + tokens - 1
  const firstBlock = firstSeen(shape.window, position) / BLOCK_TOKENS
  const endBlock = last / BLOCK_TOKENS + 1
  const stride = (<usize>((endBlock - firstBlock) * BLOCK_TOKENS)) << 2
  const start = firstBlock * BLOCK_TOKENS
  if (rows == 1) scoreRow<T>(cache, layer, kvHead, table, firstBlock, endBlock, query, shape.scale, scores)
  else {
    for (let block = firstBlock; block < endBlock; block++) {
      const keys = keysOf(cache, load<i32>(table + ((<usize>block) << 2)), layer, kvHead)
      const begin = block * BLOCK_TOKENS
      const to = scores + ((<usize>(begin - start)) << 2)
      for (let row = max(0, begin - position) * heads; row < rows;) {
        const count = together<T>(rows - row)
        const q = queryOf(shape, query, row, heads, size)
        const r = queryOf(shape, query, row + 1, heads, size)
        const s = queryOf(shape, query, row + 2, heads, size)
        const at = to + <usize>row * stride
        if (count == 3) scoreRows<T, Three>(q, r, s, keys, size, shape.scale, at, stride)
        else if (count == 2) scoreRows<T, Two>(q, r, r, keys, size, shape.scale, at, stride)
        else scoreRows<T, One>(q, q, q, keys, size, shape.scale, at, stride)
        row += count
      }
    }
  }
  for (let row = 0; row < rows; row++) {
    const own = position + row / heads
    softmax(shape, scores + <usize>row * stride, firstSeen(shape.window, own) - start, own + 1 - start)
    memory.fill(outOf(shape, out, row, heads, size), 0, (<usize>size) << 2)
  }
  const valueOffset = valuesOffset(cache)
  for (let block = firstBlock; block < endBlock; block++) {
    const keys = keysOf(cache, load<i32>(table + ((<usize>block) << 2)), layer, kvHead)
    const begin = block * BLOCK_TOKENS
    for (let row = 0; row < rows;) {
      const own = position + row / heads
      const from = max(firstSeen(shape.window, own) - begin, 0)
      const end = min(own + 1 - begin, BLOCK_TOKENS)
      // Heads of one token see the same positions, and so do all tokens behind a block that is full for the first of them.
      const sameEnd = shape.window == 0 && end == BLOCK_TOKENS ? rows : (row / heads + 1) * heads
      const count = together<T>(sameEnd - row)
      if (from < end) {
        const weights = scores + <usize>row * stride + ((<usize>(begin - start)) << 2)
        const values = keys + valueOffset
        const o = outOf(shape, out, row, heads, size)
        const p = outOf(shape, out, row + 1, heads, size)
        const q = outOf(shape, out, row + 2, heads, size)
        if (count == 3) addRows<T, Three>(values, size, weights, stride, from, end, o, p, q)
        else if (count == 2) addRows<T, Two>(values, size, weights, stride, from, end, o, p, p)
        else addValues<T>(values, size, weights, from, end, o)
      }
      row += count
    }
  }
}

/**
 * How many rows to do at once. Three share more of what int8 and fp16 cost to unpack, or two where a three would leave one alone; of fp32 three
 * need more registers than there are.
 */
@inline
function together<T>(left: i32): i32 {
  if (sizeof<T>() == 4) return min(left, 2)
  return left == 4 ? 2 : min(left, 3)
}

/** The first position that a token at `position` sees. */
@inline
function firstSeen(window: i32, position: i32): i32 {
  return window > 0 ? max(0, position - window + 1) : 0
}


@inline
function queryOf(shape: AttentionShape, query: usize, row: i32, heads: i32, size: i32): usize {
  return query + ((<usize>((row / heads) * shape.queryStride + (row % heads) * size)) << 2)
}


@inline
function outOf(shape: AttentionShape, out: usize, row: i32, heads: i32, size: i32): usize {
  return out + ((<usize>((row / heads) * shape.outStride + (row % heads) * size)) << 2)
}

/** Makes probabilities of the scores `from` to `end`, in place; all others up to the next multiple of 16 become 0. */
function softmax(shape: AttentionShape, scores: usize, from: i32, end: i32): void {
  const count = (end + BLOCK_TOKENS - 1) & -BLOCK_TOKENS
  const stop = scores + ((<usize>count) << 2)
  for (let at = 0; at < from; at++) store<f32>(scores + ((<usize>at) << 2), -Infinity)
  for (let at = end; at < count; at++) store<f32>(scores + ((<usize>at) << 2), -Infinity)
  if (shape.softcap > 0) softcapSeen(scores, from, end, shape.softcap)
  let most = f32x4.splat(-Infinity)
  for (let at = scores; at < stop; at += 16) most = f32x4.max(most, v128.load(at))
  const largest = f32x4.splat(maxLane(most))
  let sum = f32x4.splat(0)
  for (let at = scores; at < stop; at += 16) {
    const power = exp4(f32x4.sub(v128.load(at), largest))
    v128.store(at, power)
    sum = f32x4.add(sum, power)
  }
  const inverse = f32x4.splat(1 / sumLanes(sum))
  for (let at = scores; at < stop; at += 16) v128.store(at, f32x4.mul(v128.load(at), inverse))
}

/** Whole vectors are capped, then what is not seen is hidden again: a cap makes −cap of −∞. */
function softcapSeen(scores: usize, from: i32, end: i32, cap: f32): void {
  const count = (end + BLOCK_TOKENS - 1) & -BLOCK_TOKENS
  softcap(scores, count, cap)
  for (let at = 0; at < from; at++) store<f32>(scores + ((<usize>at) << 2), -Infinity)
  for (let at = end; at < count; at++) store<f32>(scores + ((<usize>at) << 2), -Infinity)
}
