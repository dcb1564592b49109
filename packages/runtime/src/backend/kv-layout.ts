import type { KvCopy } from '@tabserve/engine'

/** Capacity that a KV cache begins with; it doubles from there. */
const FIRST_CAPACITY = 128

/** What a cache is made of; a Uint16Array holds the bits of halves. */
export type KvElements = Float32Array | Uint16Array

/** Bytes of one element. */
export const KV_BYTES = { float32: 4, float16: 2 } as const

/** One K or V cache: [rows, heads, capacity, size]. */
export interface KvShape {
  readonly rows: number
  readonly heads: number
  /** Positions a row. */
  readonly capacity: number
  readonly size: number
}

/** What a decoder's graph says of its caches. */
export interface KvHeads {
  readonly kvHeads: number
  readonly headDim: number
}

export function kvShapeOf({ kvHeads, headDim }: KvHeads, rows: number, capacity: number): KvShape {
  return { rows, heads: kvHeads, capacity, size: headDim }
}

/** Elements of one row. */
export function rowSizeOf({ heads, capacity, size }: KvShape): number {
  return heads * capacity * size
}

/** The capacity to have for `length` positions: a power of two, or the whole context. */
export function capacityFor(length: number, contextLength: number): number {
  return Math.min(contextLength, Math.max(FIRST_CAPACITY, 2 ** Math.ceil(Math.log2(length))))
}

/** Carries out copies within one cache. */
export function copyRows(cache: KvElements, shape: KvShape, copies: readonly KvCopy[]): void {
  const { heads, capacity, size } = shape
  for (const { from, to, numTokens, swap } of copies) {
    const length = numTokens * size
    for (let head = 0; head < heads; head++) {
      const source = (from * heads + head) * capacity * size
      const target = (to * heads + head) * capacity * size
      const replaced = swap ? cache.slice(target, target + length) : undefined
      cache.copyWithin(target, source, source + length)
      if (replaced !== undefined) cache.set(replaced, source)
    }
  }
}

/** Moves what a cache holds into a larger one, which must be zero. */
export function moveRows(from: KvElements, shape: KvShape, to: KvElements, capacity: number): void {
  const pieces = shape.rows * shape.heads
  const length = shape.capacity * shape.size
  for (let piece = 0; piece < pieces; piece++)
    to.set(from.subarray(piece * length, (piece + 1) * length), piece * capacity * shape.size)
}
