import { sha256Of } from '../models/sha256.ts'
import type { ChunkStore } from './chunk-store.ts'
import { isQuotaError } from './chunk-store.ts'
import type { FileJournal } from './file-journal.ts'
import type { SessionRecord } from './session-record.ts'
import { giveUpKv, isSessionRecord, sessionKey, sessionRecords } from './session-record.ts'
import type { FileIdentity } from './stored-file.ts'
import { chunkKey, fileKey } from './stored-file.ts'
import type { WeightStore } from './weight-store.ts'

type Bytes = Uint8Array<ArrayBuffer>

/** A file as the store keeps it. */
interface PackedFile {
  readonly identity: FileIdentity
  readonly journal: FileJournal
  readonly chunks: readonly (readonly [key: string, bytes: Bytes])[]
}

/**
 * Saved sessions in the weight store: two files each, by their hashes, as models have. When room runs out, the KV of sessions that were not used for
 * longest gives way: to other sessions, and to models before a model does. A session never makes a model go.
 */
export class SessionShelf {
  readonly #store: ChunkStore
  readonly #weights: WeightStore
  readonly #now: () => number

  constructor(store: ChunkStore, weights: WeightStore, now: () => number = Date.now) {
    this.#store = store
    this.#weights = weights
    this.#now = now
  }

  /** Whether it outlives the worker. */
  get isLasting(): boolean {
    return this.#store.kind !== 'memory'
  }

  /**
   * Keeps a session, all of it or nothing; one of the same name is replaced. Gives nothing where it does not fit the budget; rejects where the
   * browser has no room.
   */
  async save(
    facts: Omit<SessionRecord, 'state' | 'kv' | 'savedAt' | 'usedAt'>,
    state: Bytes,
    kv: Bytes,
  ): Promise<SessionRecord | undefined> {
    await this.#weights.ready()
    const files = [await this.#pack(state), await this.#pack(kv)] as const
    const [savedAt, usedAt] = [this.#now(), this.#now()]
    const record: SessionRecord = {
      ...facts,
      state: files[0].identity,
      kv: files[1].identity,
      savedAt,
      usedAt,
    }
    if (!(await this.#makeRoom(state.byteLength + kv.byteLength, facts.name))) return undefined
    await this.#withRoom(facts.name, () =>
      // In one change, so that a save that is cut leaves what was there before.
      this.#weights.recording(() =>
        this.#store.write({
          entries: [
            ...files.map(({ identity, journal }) => [fileKey(identity.sha256), journal] as const),
            [sessionKey(facts.name), record],
          ],
          chunks: files.flatMap(({ chunks }) => chunks),
        }),
      ),
    )
    await this.#weights.sweep()
    return record
  }

  async find(name: string): Promise<SessionRecord | undefined> {
    await this.#weights.ready()
    const found = await this.#store.readEntry(sessionKey(name))
    return isSessionRecord(found) ? found : undefined
  }

  async list(): Promise<readonly SessionRecord[]> {
    await this.#weights.ready()
    return sessionRecords(this.#store)
  }

  /** A session's file, every chunk checked against its hash; `undefined` where one is gone or wrong. */
  async read(identity: FileIdentity): Promise<Bytes | undefined> {
    const file = await this.#weights.file(identity)
    if (!file.isWhole) return undefined
    const bytes = new Uint8Array(identity.bytes)
    let at = 0
    for (let index = 0; index < file.numChunks; index++) {
      const chunk = await file.read(index)
      if (chunk === undefined) return undefined
      bytes.set(chunk, at)
      at += chunk.byteLength
    }
    return bytes
  }

  async touch(record: SessionRecord): Promise<void> {
    await this.#put({ ...record, usedAt: this.#now() })
  }

  /** Keeps a session without its KV. */
  async forgetKv(record: SessionRecord): Promise<void> {
    await this.#put({ ...record, kv: null })
    await this.#weights.sweep()
  }

  async delete(name: string): Promise<void> {
    await this.#weights.ready()
    await this.#store.write({ removedEntries: [sessionKey(name)] })
    await this.#weights.sweep()
  }

  async #pack(bytes: Bytes): Promise<PackedFile> {
    const sha256 = await sha256Of(bytes)
    const { chunkBytes } = this.#weights
    const pieces = Array.from({ length: Math.ceil(bytes.byteLength / chunkBytes) }, (_, index) =>
      bytes.subarray(index * chunkBytes, (index + 1) * chunkBytes),
    )
    const states = await Promise.all(
      pieces.map(async (piece) => ({ sha256: await sha256Of(piece.slice()), isKept: true })),
    )
    return {
      identity: { sha256, bytes: bytes.byteLength },
      journal: { bytes: bytes.byteLength, chunkBytes, isSealed: true, chunks: states },
      chunks: pieces.map((piece, index) => [chunkKey(sha256, index), piece] as const),
    }
  }

  async #put(record: SessionRecord): Promise<void> {
    await this.#store.write({ entries: [[sessionKey(record.name), record]] })
  }

  /** Says whether `bytes` more fit the budget. */
  async #makeRoom(bytes: number, spared: string): Promise<boolean> {
    const { budgetBytes } = this.#weights
    if (bytes > budgetBytes) return false
    while ((await this.#weights.usedBytes()) + bytes > budgetBytes)
      if (!(await this.#giveUpKv(spared))) return false
    return true
  }

  async #withRoom(spared: string, write: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await write()
      } catch (error) {
        if (!isQuotaError(error) || !(await this.#giveUpKv(spared))) throw error
      }
    }
  }

  async #giveUpKv(spared: string): Promise<boolean> {
    const hasGivenUp = await giveUpKv(this.#store, spared)
    if (hasGivenUp) await this.#weights.sweep()
    return hasGivenUp
  }
}
