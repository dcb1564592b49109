import type { KernelExports } from '@tabserve/kernels'
import { checkKvLength } from '../row-bytes.ts'
import type { KernelHeap } from './kernel-heap.ts'

/** Where the blocks of a model's KV lie. */
export interface KernelBlocks {
  readonly kernels: KernelExports
  readonly heap: KernelHeap
  readonly cache: number
  readonly layers: number
  readonly kvHeads: number
  readonly slabBlocks: number
}

/** Bytes of whole blocks, one after another: each [layers][heads][keys, values], without the slabs that they lie in. */
export function readBlocks(blocks: KernelBlocks, ids: Int32Array): Uint8Array<ArrayBuffer> {
  const pieces = piecesOf(blocks, ids)
  const bytes = new Uint8Array(ids.length * blocks.kernels.blockBytes(blocks.cache))
  pieces.forEach((piece, index) => bytes.set(piece, index * piece.byteLength))
  return bytes
}

/** Throws where `bytes` are not of so many blocks; nothing is written then. */
export function writeBlocks(blocks: KernelBlocks, ids: Int32Array, bytes: Uint8Array): void {
  checkKvLength(bytes, ids.length * blocks.kernels.blockBytes(blocks.cache))
  piecesOf(blocks, ids).forEach((piece, index) =>
    piece.set(bytes.subarray(index * piece.byteLength, (index + 1) * piece.byteLength)),
  )
}

/** Keys and values of each head of each block, in order; all equally long. */
function piecesOf({ kernels, heap, cache, ...shape }: KernelBlocks, ids: Int32Array): Uint8Array[] {
  const { layers, kvHeads, slabBlocks } = shape
  const headBytes = kernels.blockBytes(cache) / (2 * layers * kvHeads)
  const pieces: Uint8Array[] = []
  for (const id of ids)
    for (let layer = 0; layer < layers; layer++)
      for (let head = 0; head < kvHeads; head++) {
        // Addresses come as signed numbers.
        const keys = kernels.keysOf(cache, id, layer, head) >>> 0
        pieces.push(heap.bytesAt(keys, headBytes))
        pieces.push(heap.bytesAt(keys + slabBlocks * headBytes, headBytes))
      }
  return pieces
}
