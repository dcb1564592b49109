import { toHalf } from './half'
import { halves, maxLane } from './simd'

/** How KV is kept; `src/exports.ts` has the same numbers: bytes an element. */
export namespace KvKind {
  export const int8: i32 = 1
  export const float16: i32 = 2
  export const float32: i32 = 4
}

/** Positions a block holds. The scheduler's prefix blocks have the same size, so that what is shared is whole blocks. */
export const BLOCK_TOKENS: i32 = 16

/**
 * The pool, slab after slab of `slabBlocks` blocks: [layers][kvHeads][keys, values][slabBlocks][head], so that the keys of one head in neighbouring
 * blocks are neighbours in memory, and slabs that nobody has written take none. A head's keys in one block lie [headDim][16], positions side by side: one load
 * serves four scores; its values [16][headDim]. Both end, in int8, with f32 [16], a scale a position.
 */
@unmanaged
export class KvCache {
  base: usize
  kind: i32
  layers: i32
  kvHeads: i32
  headDim: i32
  slabBlocks: i32
}

/** Bytes of one head's keys, or values, in one block. */
@inline
export function headBytes(kind: i32, headDim: i32): i32 {
  return headDim * BLOCK_TOKENS * kind + (kind == KvKind.int8 ? BLOCK_TOKENS * 4 : 0)
}

export function blockBytes(cache: KvCache): i32 {
  return 2 * cache.layers * cache.kvHeads * headBytes(cache.kind, cache.headDim)
}

/** Where a head's keys of a block lie; its values are `valuesOffset` further. */
@inline
export function keysOf(cache: KvCache, block: i32, layer: i32, head: i32): usize {
  const slab = block / cache.slabBlocks
  const bytes = <usize>headBytes(cache.kind, cache.headDim)
  const run = <usize>((layer * cache.kvHeads + head) * 2 * cache.slabBlocks + (block % cache.slabBlocks))
  return cache.base + <usize>slab * <usize>cache.slabBlocks * <usize>blockBytes(cache) + run * bytes
}


@inline
export function valuesOffset(cache: KvCache): usize {
  return <usize>(cache.slabBlocks * headBytes(cache.kind, cache.headDim))
}

/** Copies a whole block, of all layers. */
export function copyBlock(cache: KvCache, from: i32, to: i32): void {
  const bytes = <usize>headBytes(cache.kind, cache.headDim)
  const values = valuesOffset(cache)
  for (let layer = 0; layer < cache.layers; layer++) {
    for (let head = 0; head < cache.kvHeads; head++) {
      const source = keysOf(cache, from, layer, head)
      const target = keysOf(cache, to, layer, head)
      memory.copy(target, source, bytes)
      memory.copy(target + values, source + values, bytes)
    }
  }
}

/** Keeps one head's key and value of one position. @param key, value f32 [headDim] @param slot position within the block. */
export function storeHead(cache: KvCache, keys: usize, slot: i32, key: usize, value: usize): void {
  const size = cache.headDim
  const values = keys + valuesOffset(cache)
  if (cache.kind == KvKind.float32) {
    storeEach<f32>(keys + ((<usize>slot) << 2), BLOCK_TOKENS * 4, key, size, 1)
    storeEach<f32>(values + <usize>(slot * size * 4), 4, value, size, 1)
  } else if (cache.kind == KvKind.float16) {
    storeEach<u16>(keys + ((<usize>slot) << 1), BLOCK_TOKENS * 2, key, size, 1)
    storeEach<u16>(values + <usize>(slot * size * 2), 2, value, size, 1)
  } else {
    const scales = <usize>(size * BLOCK_TOKENS + slot * 4)
    storeEach<i8>(keys + <usize>slot, BLOCK_TOKENS, key, size, storeScale(keys + scales, key, size))
    storeEach<i8>(values + <usize>(slot * size), 1, value, size, storeScale(values + scales, value, size))
  }
}

/** Stores max |x| / 127 and returns its inverse. */
function storeScale(to: usize, from: usize, size: i32): f32 {
  let most = f32x4.splat(0)
  for (const end = from + ((<usize>size) << 2); from < end; from += 16)
    most = f32x4.max(most, f32x4.abs(v128.load(from)))
  const scale = maxLane(most) / 127
  store<f32>(to, scale)
  return scale > 0 ? 1 / scale : 0
}


@inline
function storeEach<T>(to: usize, step: usize, from: usize, size: i32, inverse: f32): void {
  for (const end = from + ((<usize>size) << 2); from < end; from += 4, to += step) {
    const value = load<f32>(from)
    if (sizeof<T>() == 4) store<f32>(to, value)
    else if (sizeof<T>() == 2) store<u16>(to, toHalf(value))
    else store<i8>(to, <i8>nearest<f32>(value * inverse))
  }
}

/** Four neighbouring elements as f32x4; int8 ones without their scale. */
@inline
export function load4<T>(at: usize): v128 {
  if (sizeof<T>() == 4) return v128.load(at)
  if (sizeof<T>() == 2) return halves(at)
  const bytes = v128.load_zero<i32>(at)
  return f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(i16x8.extend_low_i8x16_s(bytes)))
}
