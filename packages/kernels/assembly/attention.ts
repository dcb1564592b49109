import { exp4, softcap } from './exponential'
import { BLOCK_TOKENS, KvCache, KvKind, headBytes, keysOf, load4 } from './kv-cache'
import { madd, maxLane, sumLanes } from './simd'

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
    attendFloat32(shape, cache, layer, kvHead, table, position, tokens, heads, query, out, scores)
  else if (cache.kind == KvKind.float16)
    attendFloat16(shape, cache, layer, kvHead, table, position, tokens, heads, query, out, scores)
  else attendInt8(shape, cache, layer, kvHead, table, position, tokens, heads, query, out, scores)
}

// One function for each kind, exported by the entry file so that they stay apart: see product-uint4.ts.

export function attendFloat32(
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
  attendOver<f32>(shape, cache, layer, kvHead, table, position, tokens, heads, query, out, scores)
}

export function attendFloat16(
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
  attendOver<u16>(shape, cache, layer, kvHead, table, position, tokens, heads, query, out, scores)
}

export function attendInt8(
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
  attendOver<i8>(shape, cache, layer, kvHead, table, position, tokens, heads, query, out, scores)
}


@inline
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
  for (let block = firstBlock; block < endBlock; block++) {
    const keys = keysOf(cache, load<i32>(table + ((<usize>block) << 2)), layer, kvHead)
    const begin = block * BLOCK_TOKENS
    for (let row = 0; row < rows; row++) {
      if (position + row / heads < begin) continue
      const to = scores + <usize>row * stride + ((<usize>(begin - start)) << 2)
      scoreBlock<T>(queryOf(shape, query, row, heads, size), keys, size, shape.scale, to)
    }
  }
  for (let row = 0; row < rows; row++) {
    const own = position + row / heads
    softmax(shape, scores + <usize>row * stride, firstSeen(shape.window, own) - start, own + 1 - start)
    memory.fill(outOf(shape, out, row, heads, size), 0, (<usize>size) << 2)
  }
  const valueOffset = <usize>(cache.kvHeads * headBytes(cache.kind, size))
  for (let block = firstBlock; block < endBlock; block++) {
    const keys = keysOf(cache, load<i32>(table + ((<usize>block) << 2)), layer, kvHead)
    const begin = block * BLOCK_TOKENS
    for (let row = 0; row < rows; row++) {
      const own = position + row / heads
      const from = max(firstSeen(shape.window, own) - begin, 0)
      const end = min(own + 1 - begin, BLOCK_TOKENS)
      if (from >= end) continue
      const weights = scores + <usize>row * stride + ((<usize>(begin - start)) << 2)
      addValues<T>(keys + valueOffset, size, weights, from, end, outOf(shape, out, row, heads, size))
    }
  }
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

/** to[p] = scale · query · key[p] for the 16 positions of a block, those that nobody has written included. */
@inline
function scoreBlock<T>(query: usize, keys: usize, size: i32, scale: f32, to: usize): void {
  const zero = f32x4.splat(0)
  let a = zero
  let b = zero
  let c = zero
  let d = zero
  let e = zero
  let f = zero
  let g = zero
  let h = zero
  const step = 4 * sizeof<T>()
  let key = keys
  for (const end = query + ((<usize>size) << 2); query < end; query += 8, key += 8 * step) {
    const even = v128.load_splat<f32>(query)
    a = madd(even, load4<T>(key), a)
    b = madd(even, load4<T>(key + step), b)
    c = madd(even, load4<T>(key + 2 * step), c)
    d = madd(even, load4<T>(key + 3 * step), d)
    const odd = v128.load_splat<f32>(query, 4)
    e = madd(odd, load4<T>(key + 4 * step), e)
    f = madd(odd, load4<T>(key + 5 * step), f)
    g = madd(odd, load4<T>(key + 6 * step), g)
    h = madd(odd, load4<T>(key + 7 * step), h)
  }
  v128.store(to, scaled<T>(f32x4.add(a, e), scale, key, 0))
  v128.store(to, scaled<T>(f32x4.add(b, f), scale, key, 16), 16)
  v128.store(to, scaled<T>(f32x4.add(c, g), scale, key, 32), 32)
  v128.store(to, scaled<T>(f32x4.add(d, h), scale, key, 48), 48)
}

/** int8 keys are followed by their positions' scales. */
@inline
function scaled<T>(sum: v128, scale: f32, scales: usize, at: usize): v128 {
  const product = f32x4.mul(sum, f32x4.splat(scale))
  return sizeof<T>() == 1 ? f32x4.mul(product, v128.load(scales + at)) : product
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

/** out += Σ_p weights[p] · values[p] for positions `from` to `end` of a block. Others are not read: what was left there may be no number. */
@inline
function addValues<T>(values: usize, size: i32, weights: usize, from: i32, end: i32, out: usize): void {
  const scales = values + <usize>(size * BLOCK_TOKENS)
  let column = 0
  for (; column + 32 <= size; column += 32)
    addColumns<T>(8, values, size, weights, scales, from, end, column, out)
  for (; column < size; column += 8) addColumns<T>(2, values, size, weights, scales, from, end, column, out)
}

/** Four times `vectors` columns, 2 or 8, a constant where this is called. */
@inline
function addColumns<T>(
  vectors: i32,
  values: usize,
  size: i32,
  weights: usize,
  scales: usize,
  from: i32,
  end: i32,
  column: i32,
  out: usize,
): void {
  const to = out + ((<usize>column) << 2)
  const step = 4 * sizeof<T>()
  let a = v128.load(to)
  let b = v128.load(to, 16)
  let c = a
  let d = a
  let e = a
  let f = a
  let g = a
  let h = a
  if (vectors > 2) {
    c = v128.load(to, 32)
    d = v128.load(to, 48)
    e = v128.load(to, 64)
    f = v128.load(to, 80)
    g = v128.load(to, 96)
    h = v128.load(to, 112)
  }
  for (let slot = <usize>from; slot < <usize>end; slot++) {
    let weight = v128.load_splat<f32>(weights + (slot << 2))
    if (sizeof<T>() == 1) weight = f32x4.mul(weight, v128.load_splat<f32>(scales + (slot << 2)))
    const value = values + (slot * size + column) * sizeof<T>()
    a = madd(weight, load4<T>(value), a)
    b = madd(weight, load4<T>(value + step), b)
    if (vectors > 2) {
      c = madd(weight, load4<T>(value + 2 * step), c)
      d = madd(weight, load4<T>(value + 3 * step), d)
      e = madd(weight, load4<T>(value + 4 * step), e)
      f = madd(weight, load4<T>(value + 5 * step), f)
      g = madd(weight, load4<T>(value + 6 * step), g)
      h = madd(weight, load4<T>(value + 7 * step), h)
    }
  }
  v128.store(to, a)
  v128.store(to, b, 16)
  if (vectors > 2) {
    v128.store(to, c, 32)
    v128.store(to, d, 48)
    v128.store(to, e, 64)
    v128.store(to, f, 80)
    v128.store(to, g, 96)
    v128.store(to, h, 112)
  }
}
