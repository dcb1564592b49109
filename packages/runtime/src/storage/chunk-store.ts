import type { StoreKind } from '@tabserve/protocol'

/**
 * Where chunks lie, and the entries that say what they are. Knows nothing of models or files. Chunks are not to be changed by who has
 * written or read them. Every implementation passes `test/conformance/chunk-store.ts`.
 */
export interface ChunkStore {
  readonly kind: StoreKind
  /** The same for all who share what is kept, in whatever tab; part of their locks' names. */
  readonly scope: string
  /** `undefined` when it is not there, or not readable as what was written. */
  readEntry(key: string): Promise<unknown>
  readChunk(key: string): Promise<Uint8Array<ArrayBuffer> | undefined>
  /**
   * Never leaves an entry without the chunk that was written with it, also when it is cut. Rejects with an error named `QuotaExceededError` when
   * there is no room; then nothing has changed that was there before.
   */
  write(change: StoreChange): Promise<void>
  entryKeys(): Promise<readonly string[]>
  chunkKeys(): Promise<readonly string[]>
  clear(): Promise<void>
}

export interface StoreChange {
  /** What JSON can hold. */
  readonly entries?: readonly (readonly [key: string, value: unknown])[]
  /** Keys of letters, digits and `-` only. */
  readonly chunks?: readonly (readonly [key: string, bytes: Uint8Array<ArrayBuffer>])[]
  readonly removedEntries?: readonly string[]
  readonly removedChunks?: readonly string[]
}

/** The bytes as a buffer of their own, which a view of a larger one is not. */
export function wholeBuffer(bytes: Uint8Array<ArrayBuffer>): ArrayBuffer {
  return bytes.byteLength === bytes.buffer.byteLength ? bytes.buffer : bytes.slice().buffer
}

/** Whether a write failed for want of room. */
export function isQuotaError(error: unknown): boolean {
  // A plain name: browsers are about to make it a class of its own.
  return error instanceof Error && error.name === 'QuotaExceededError'
}
