import { sha256Of } from '../models/sha256.ts'
import type { ChunkStore } from './chunk-store.ts'
import type { ChunkState, FileJournal } from './file-journal.ts'
import {
  chunkLength,
  emptyJournal,
  isJournalOf,
  isWhole,
  keptBytes,
  sealed,
  withChunk,
} from './file-journal.ts'
import { acquireLock, fileLock } from './lock.ts'

/** A file by its content. */
export interface FileIdentity {
  readonly sha256: string
  readonly bytes: number
}

export const fileKey = (sha256: string) => `file ${sha256}`
/** @param stem without a `-`. */
export const chunkKey = (stem: string, index: number) => `${stem}-${String(index).padStart(6, '0')}`

/** Keys of the chunks that a file of this journal may have. */
export function chunkKeysOf(sha256: string, { chunks, stem = sha256 }: FileJournal): string[] {
  return chunks.map((_, index) => chunkKey(stem, index))
}

/**
 * One file in the store, while somebody reads or fills it. Every chunk is checked against its hash when it is read, and one that rotted or
 * went missing is struck from the journal: it alone is fetched again.
 */
export class StoredFile {
  readonly #store: ChunkStore
  readonly #sha256: string
  #journal: FileJournal

  /** @param chunkBytes for a file of which nothing is there; others keep the size that they have. */
  static async open(
    store: ChunkStore,
    { sha256, bytes }: FileIdentity,
    chunkBytes: number,
  ): Promise<StoredFile> {
    const found = await store.readEntry(fileKey(sha256))
    return new StoredFile(store, sha256, isJournalOf(found, bytes) ? found : emptyJournal(bytes, chunkBytes))
  }

  private constructor(store: ChunkStore, sha256: string, journal: FileJournal) {
    this.#store = store
    this.#sha256 = sha256
    this.#journal = journal
  }

  get chunkBytes(): number {
    return this.#journal.chunkBytes
  }

  get numChunks(): number {
    return this.#journal.chunks.length
  }

  /** All of it is there, and its own hash has matched. */
  get isWhole(): boolean {
    return isWhole(this.#journal)
  }

  get isSealed(): boolean {
    return this.#journal.isSealed
  }

  get keptBytes(): number {
    return keptBytes(this.#journal)
  }

  /** Of chunks that are there, or may be. */
  get chunkKeys(): string[] {
    return chunkKeysOf(this.#sha256, this.#journal)
  }

  /** Chunks that are not there, ascending. */
  get missing(): number[] {
    return [...this.#journal.chunks.keys()].filter((index) => !this.has(index))
  }

  /** Bytes of chunk `index`. */
  lengthOf(index: number): number {
    return chunkLength(this.#journal, index)
  }

  has(index: number): boolean {
    return this.#journal.chunks[index]?.isKept === true
  }

  /** The hash that a chunk must have, where the whole file has been right once. */
  expectedHash(index: number): string | undefined {
    return this.#journal.isSealed ? this.#journal.chunks[index]?.sha256 : undefined
  }

  /** A chunk that is still what was kept, else `undefined`. */
  async read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const state = this.#journal.chunks[index]
    if (state?.isKept !== true) return undefined
    const bytes = await this.#store.readChunk(this.#keyOf(index))
    const isRight =
      bytes?.byteLength === chunkLength(this.#journal, index) && (await sha256Of(bytes)) === state.sha256
    if (isRight) return bytes
    await this.#write(withChunk(this.#journal, index, { ...state, isKept: false }))
    return undefined
  }

  /**
   * Keeps a chunk and books it, both or neither. Rejects where storage does.
   * @param seal the file's own hash has matched; this is its last missing chunk.
   */
  async keep(index: number, bytes: Uint8Array<ArrayBuffer>, sha256: string, seal: boolean): Promise<void> {
    const state: ChunkState = { sha256, isKept: true }
    const journal = withChunk(this.#journal, index, state)
    await this.#write(seal ? sealed(journal) : journal, [[this.#keyOf(index), bytes]])
  }

  /** The file's own hash has matched. */
  async seal(): Promise<void> {
    await this.#write(sealed(this.#journal))
  }

  /**
   * The file's hash, which nobody knew, is known now: from here on it goes by that, and no more by what it was called. Where the store has such a file
   * already, this one goes. A record that needs the file must be there before.
   */
  async adopt(sha256: string): Promise<void> {
    const release = await acquireLock(fileLock(this.#store.scope, sha256)) // somebody may be downloading it
    try {
      const found = await StoredFile.open(
        this.#store,
        { sha256, bytes: this.#journal.bytes },
        this.chunkBytes,
      )
      const removedEntries = [fileKey(this.#sha256)]
      if (found.isWhole) return await this.#store.write({ removedEntries, removedChunks: this.chunkKeys })
      const entry = [fileKey(sha256), { ...sealed(this.#journal), stem: this.#sha256 }] as const
      await this.#store.write({ entries: [entry], removedEntries, removedChunks: found.chunkKeys })
    } finally {
      release()
    }
  }

  /** Strikes out every chunk: one of them is wrong, and nobody knows which. */
  async forget(): Promise<void> {
    await this.#write(emptyJournal(this.#journal.bytes, this.#journal.chunkBytes))
  }

  #keyOf(index: number): string {
    return chunkKey(this.#journal.stem ?? this.#sha256, index)
  }

  async #write(
    journal: FileJournal,
    chunks: readonly (readonly [string, Uint8Array<ArrayBuffer>])[] = [],
  ): Promise<void> {
    await this.#store.write({ entries: [[fileKey(this.#sha256), journal]], chunks })
    this.#journal = journal
  }
}
