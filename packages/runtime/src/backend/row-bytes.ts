import type { KvPlace } from '@tabserve/engine'
import { joinBytes } from '../join-bytes.ts'
import type { KvElements, KvShape } from './kv-layout.ts'
import { KV_BYTES } from './kv-layout.ts'

type RowGeometry = Pick<KvShape, 'heads' | 'size'>

/** What a row's bytes are: cache after cache (K and V of every layer), each [heads, positions, size]. The same whatever a row's capacity is. */
export function rowKvLayout(
  numCaches: number,
  { heads, size }: RowGeometry,
  dtype: keyof typeof KV_BYTES,
): string {
  return `rows, ${dtype} [${numCaches}, ${heads}, positions, ${size}]`
}

/** @param caches all that the runner has, in its order. */
export function readRow(
  caches: readonly KvElements[],
  shape: KvShape,
  row: number,
  numTokens: number,
): Uint8Array<ArrayBuffer> {
  return joinBytes(piecesOf(caches, shape, row, numTokens))
}

/** Throws where `bytes` are not of so many positions; nothing is written then. */
export function writeRow(
  caches: readonly KvElements[],
  shape: KvShape,
  row: number,
  numTokens: number,
  bytes: Uint8Array,
): void {
  const pieces = piecesOf(caches, shape, row, numTokens)
  checkKvLength(
    bytes,
    pieces.reduce((sum, { byteLength }) => sum + byteLength, 0),
  )
  let at = 0
  for (const piece of pieces) {
    piece.set(bytes.subarray(at, at + piece.byteLength))
    at += piece.byteLength
  }
}

export function checkKvLength(bytes: Uint8Array, wanted: number): void {
  if (bytes.byteLength !== wanted)
    throw new Error(`KV of ${bytes.byteLength} bytes; so many positions have ${wanted}`)
}

export function rowIn(place: KvPlace): number {
  if ('row' in place) return place.row
  throw new Error('a block table for a runner whose KV lies in rows')
}

/** One a cache and head, as they follow each other in a row's bytes. */
function piecesOf(
  caches: readonly KvElements[],
  { heads, capacity, size }: KvShape,
  row: number,
  numTokens: number,
): Uint8Array[] {
  return caches.flatMap(({ buffer, byteOffset, BYTES_PER_ELEMENT }) =>
    Array.from({ length: heads }, (_, head) => {
      const begin = BYTES_PER_ELEMENT * size * capacity * (row * heads + head)
      return new Uint8Array(buffer, byteOffset + begin, BYTES_PER_ELEMENT * size * numTokens)
    }),
  )
}
