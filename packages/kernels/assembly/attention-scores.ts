import { One } from './count'
import { BLOCK_TOKENS, KvCache, keysOf, load4 } from './kv-cache'
import { madd } from './simd'

/*
 * score[p] = scale · query · key[p] for the 16 positions p of a block, those that nobody has written included. Elements are added in order, so
 * that a row's scores are the same whichever function computes them.
 */

/** A row alone, over all its blocks: two at a time, for one would leave the processor waiting for its own sums. */
export function scoreRow<T>(
  cache: KvCache,
  layer: i32,
  kvHead: i32,
  table: usize,
  firstBlock: i32,
  endBlock: i32,
  query: usize,
  scale: f32,
  to: usize,
): void {
  const size = cache.headDim
  let block = firstBlock
  for (; block + 1 < endBlock; block += 2, to += 8 * BLOCK_TOKENS) {
    const keys = keysOf(cache, load<i32>(table + ((<usize>block) << 2)), layer, kvHead)
    const next = keysOf(cache, load<i32>(table + ((<usize>block) << 2), 4), layer, kvHead)
    scorePair<T>(query, keys, next, size, scale, to)
  }
  if (block < endBlock) {
    const keys = keysOf(cache, load<i32>(table + ((<usize>block) << 2)), layer, kvHead)
    scoreRows<T, One>(query, query, query, keys, size, scale, to, 0)
  }
}

function scorePair<T>(query: usize, keys: usize, next: usize, size: i32, scale: f32, to: usize): void {
  const zero = f32x4.splat(0)
  let a0 = zero
  let a1 = zero
  let a2 = zero
  let a3 = zero
  let b0 = zero
  let b1 = zero
  let b2 = zero
  let b3 = zero
  const step = 4 * sizeof<T>()
  for (
    const end = query + ((<usize>size) << 2);
    query < end;
    query += 4, keys += 4 * step, next += 4 * step
  ) {
    const x = v128.load_splat<f32>(query)
    a0 = madd(x, load4<T>(keys), a0)
    a1 = madd(x, load4<T>(keys + step), a1)
    a2 = madd(x, load4<T>(keys + 2 * step), a2)
    a3 = madd(x, load4<T>(keys + 3 * step), a3)
    b0 = madd(x, load4<T>(next), b0)
    b1 = madd(x, load4<T>(next + step), b1)
    b2 = madd(x, load4<T>(next + 2 * step), b2)
    b3 = madd(x, load4<T>(next + 3 * step), b3)
  }
  putScores<T>(to, a0, a1, a2, a3, scale, keys)
  putScores<T>(to + 4 * BLOCK_TOKENS, b0, b1, b2, b3, scale, next)
}

/** `N` rows, one to three: a key is loaded once for all of them. Their scores lie `stride` bytes apart. */
export function scoreRows<T, N>(
  query: usize,
  query2: usize,
  query3: usize,
  keys: usize,
  size: i32,
  scale: f32,
  to: usize,
  stride: usize,
): void {
  const zero = f32x4.splat(0)
  let a0 = zero
  let a1 = zero
  let a2 = zero
  let a3 = zero
  let b0 = zero
  let b1 = zero
  let b2 = zero
  let b3 = zero
  let c0 = zero
  let c1 = zero
  let c2 = zero
  let c3 = zero
  const step = 4 * sizeof<T>()
  for (const end = query + ((<usize>size) << 2); query < end; query += 4, keys += 4 * step) {
    const k0 = load4<T>(keys)
    const k1 = load4<T>(keys + step)
    const k2 = load4<T>(keys + 2 * step)
    const k3 = load4<T>(keys + 3 * step)
    let x = v128.load_splat<f32>(query)
    a0 = madd(x, k0, a0)
    a1 = madd(x, k1, a1)
    a2 = madd(x, k2, a2)
    a3 = madd(x, k3, a3)
    if (offsetof<N>() > 1) {
      x = v128.load_splat<f32>(query2)
      b0 = madd(x, k0, b0)
      b1 = madd(x, k1, b1)
      b2 = madd(x, k2, b2)
      b3 = madd(x, k3, b3)
      query2 += 4
    }
    if (offsetof<N>() > 2) {
      x = v128.load_splat<f32>(query3)
      c0 = madd(x, k0, c0)
      c1 = madd(x, k1, c1)
      c2 = madd(x, k2, c2)
      c3 = madd(x, k3, c3)
      query3 += 4
    }
  }
  putScores<T>(to, a0, a1, a2, a3, scale, keys)
  if (offsetof<N>() > 1) putScores<T>(to + stride, b0, b1, b2, b3, scale, keys)
  if (offsetof<N>() > 2) putScores<T>(to + stride + stride, c0, c1, c2, c3, scale, keys)
}

/** @param scales f32 [16], of int8 keys, which they follow */
@inline
function putScores<T>(to: usize, a: v128, b: v128, c: v128, d: v128, scale: f32, scales: usize): void {
  const factor = f32x4.splat(scale)
  let fa = factor
  let fb = factor
  let fc = factor
  let fd = factor
  if (sizeof<T>() == 1) {
    fa = f32x4.mul(factor, v128.load(scales))
    fb = f32x4.mul(factor, v128.load(scales, 16))
    fc = f32x4.mul(factor, v128.load(scales, 32))
    fd = f32x4.mul(factor, v128.load(scales, 48))
  }
  v128.store(to, f32x4.mul(a, fa))
  v128.store(to, f32x4.mul(b, fb), 16)
  v128.store(to, f32x4.mul(c, fc), 32)
  v128.store(to, f32x4.mul(d, fd), 48)
}
