import type { ChunkStore } from './chunk-store.ts'
import type { ChunkState } from './file-journal.ts'
import { acquireLock, fileLock } from './lock.ts'
import { StoredFile, chunkKey, fileKey } from './stored-file.ts'

/**
 * A file that is being made. Its hash, and so its name in the store, is known only when its last byte is: until then its chunks lie under a
 * stem of their own, of which no journal speaks. A lock says that somebody is at work on them; left behind, they go at the next repair.
 */
export class FileDraft {
  readonly chunkBytes: number
  readonly #store: ChunkStore
  readonly #bytes: number
  readonly #stem: string
  readonly #release: () => void
  readonly #chunks: ChunkState[] = []

  static async begin(store: ChunkStore, bytes: number, chunkBytes: number): Promise<FileDraft> {
    const stem = `draft${crypto.getRandomValues(new Uint32Array(4)).join('x')}`
    return new FileDraft(store, bytes, chunkBytes, stem, await acquireLock(fileLock(store.scope, stem)))
  }

  private constructor(
    store: ChunkStore,
    bytes: number,
    chunkBytes: number,
    stem: string,
    release: () => void,
  ) {
    this.#store = store
    this.#bytes = bytes
    this.chunkBytes = chunkBytes
    this.#stem = stem
    this.#release = release
  }

  /** Keeps the next chunk. Rejects where storage does; then it may be tried again. */
  async keep(bytes: Uint8Array<ArrayBuffer>, sha256: string): Promise<void> {
    await this.#store.write({ chunks: [[chunkKey(this.#stem, this.#chunks.length), bytes]] })
    this.#chunks.push({ sha256, isKept: true })
  }

  /**
   * Makes the draft the file of this hash, without moving a byte. Where the store has that file already, the draft goes. A record that needs
   * the file must be there before. Rejects where chunks are gone, as they are when somebody has cleared the store.
   */
  async adopt(sha256: string, signal: AbortSignal): Promise<void> {
    const release = await acquireLock(fileLock(this.#store.scope, sha256), signal) // somebody may be downloading it
    try {
      const present = new Set(await this.#store.chunkKeys())
      if (!this.#keys().every((key) => present.has(key))) throw new Error('it was cleared in the meantime')
      const { bytes, chunkBytes } = { bytes: this.#bytes, chunkBytes: this.chunkBytes }
      const stored = await StoredFile.open(this.#store, { sha256, bytes }, chunkBytes)
      if (stored.isWhole) return await this.discard()
      const journal = { bytes, chunkBytes, isSealed: true, chunks: this.#chunks, stem: this.#stem }
      await this.#store.write({ entries: [[fileKey(sha256), journal]], removedChunks: stored.chunkKeys })
    } finally {
      release()
      this.#release()
    }
  }

  /** Forgets what was kept. */
  async discard(): Promise<void> {
    try {
      await this.#store.write({ removedChunks: this.#keys() })
    } finally {
      this.#release()
    }
  }

  #keys(): string[] {
    return this.#chunks.map((_, index) => chunkKey(this.#stem, index))
  }
}
