import { Mutex } from '../mutex.ts'
import type { ChunkStore } from './chunk-store.ts'
import { isQuotaError } from './chunk-store.ts'
import { FileDraft } from './file-draft.ts'
import type { FileJournal } from './file-journal.ts'
import { isJournalOf, keptBytes } from './file-journal.ts'
import type { ModelRecord, RecordKind } from './model-record.ts'
import { acquireLock, fileLock, recordLock } from './lock.ts'
import { firstToEvict, isModelRecord, recordKey, referencedFiles } from './model-record.ts'
import { repairStore } from './repair.ts'
import { giveUpKv, heldBySession, sessionRecords } from './session-record.ts'
import type { FileIdentity } from './stored-file.ts'
import { StoredFile, chunkKeysOf, fileKey } from './stored-file.ts'

/** 16 MB: small enough for the browser's memory, large enough for its speed (measured from 4 to 1024 MB). */
export const CHUNK_BYTES = 2 ** 24

export interface WeightStoreOptions {
  /** Most bytes of weights to keep. Default: as many as the browser lets us. */
  readonly budgetBytes?: number
  /** Of files that are new to the store; for tests with small files. Default 16 MB. */
  readonly chunkBytes?: number
  readonly now?: () => number
}

/**
 * Keeps models between visits. Files go by their SHA-256, so what two models share is kept once, for as long as one of them needs it. When room
 * runs out, the models that were not used for longest and are not pinned give way.
 */
export class WeightStore {
  readonly #store: ChunkStore
  readonly #budgetBytes: number
  readonly #chunkBytes: number
  readonly #now: () => number
  /** Of this worker; insecure pages have nothing else. */
  readonly #recording = new Mutex()
  #repaired: Promise<void> | undefined

  constructor(
    store: ChunkStore,
    { budgetBytes = Infinity, chunkBytes = CHUNK_BYTES, now = Date.now }: WeightStoreOptions = {},
  ) {
    this.#store = store
    this.#budgetBytes = budgetBytes
    this.#chunkBytes = chunkBytes
    this.#now = now
  }

  get kind(): ChunkStore['kind'] {
    return this.#store.kind
  }

  get budgetBytes(): number {
    return this.#budgetBytes
  }

  /** Of files that are new to the store. */
  get chunkBytes(): number {
    return this.#chunkBytes
  }

  /** Held by who downloads a file into this store. */
  lockOf(sha256: string): string {
    return fileLock(this.#store.scope, sha256)
  }

  /** What a cut write or somebody else left behind is cleared up, once, before the first look. */
  ready(): Promise<void> {
    this.#repaired ??= repairStore(this.#store).catch((error: unknown) => {
      this.#repaired = undefined // the next load tries again
      throw error
    })
    return this.#repaired
  }

  file(identity: FileIdentity): Promise<StoredFile> {
    return StoredFile.open(this.#store, identity, this.#chunkBytes)
  }

  /** The hash of a file that was kept as `provisional` before anybody knew it. */
  async adoptedAs(provisional: string): Promise<string | undefined> {
    return (await this.#journals()).find(([, { stem }]) => stem === provisional)?.[0]
  }

  /** A file of this size that is about to be made. */
  draft(bytes: number): Promise<FileDraft> {
    return FileDraft.begin(this.#store, bytes, this.#chunkBytes)
  }

  /** The record of a model that was whole once and was not evicted. */
  async model(address: string): Promise<ModelRecord | undefined> {
    const record = await this.#record('model', address)
    return record?.isEvicted === true ? undefined : record
  }

  /** The record of a model that was whole once, also of an evicted one. */
  whole(address: string): Promise<ModelRecord | undefined> {
    return this.#record('model', address)
  }

  /** A model that was whole, or whose download has begun; also an evicted one. */
  async known(address: string): Promise<ModelRecord | undefined> {
    const model = await this.#record('model', address)
    if (model?.isEvicted === false) return model
    return (await this.#record('download', address)) ?? model
  }

  /** Whether a download has begun that did not end yet. */
  async isDownloading(address: string): Promise<boolean> {
    return (await this.#record('download', address)) !== undefined
  }

  /** Of every model, whole or not, one record: of one that was evicted and is coming back, the download's. */
  async models(): Promise<readonly ModelRecord[]> {
    const byAddress = new Map<string, ModelRecord>()
    const downloads = await this.#records('download')
    const models = await this.#records('model')
    const [evicted, there] = [
      models.filter((model) => model.isEvicted),
      models.filter((model) => !model.isEvicted),
    ]
    for (const record of [...evicted, ...downloads, ...there]) byAddress.set(record.address, record)
    return [...byAddress.values()]
  }

  /** Books a download before its first chunk: from now on its files belong to a model, also when nobody comes back for it. */
  async beginDownload(record: Omit<ModelRecord, 'usedAt' | 'isPinned' | 'isEvicted'>): Promise<void> {
    await this.#put('download', { ...record, isPinned: false, isEvicted: false, usedAt: this.#now() })
  }

  /** The model is whole. Files that only an earlier version at this address needed go. */
  async finishDownload(address: string): Promise<void> {
    const download = await this.#record('download', address)
    if (download === undefined) return
    const isPinned = (await this.#record('model', address))?.isPinned ?? false
    // One kind of record becomes another: who reads the one kind after the other would miss both.
    await this.recording(() =>
      this.#store.write({
        entries: [[recordKey('model', address), { ...download, isPinned, usedAt: this.#now() }]],
        removedEntries: [recordKey('download', address)],
      }),
    )
    await this.sweep()
  }

  /** Forgets what a download has brought, and no earlier version of the model. */
  async dropDownload(address: string): Promise<void> {
    await this.#store.write({ removedEntries: [recordKey('download', address)] })
    await this.sweep()
  }

  async touch(record: ModelRecord): Promise<void> {
    await this.#put('model', { ...record, usedAt: this.#now() })
  }

  async setPinned(record: ModelRecord, isPinned: boolean): Promise<void> {
    await this.#put('model', { ...record, isPinned })
  }

  /** Gives a model's files up, those apart that another model needs; that it was there stays known. */
  async evict(address: string): Promise<void> {
    const record = await this.#record('model', address)
    if (record !== undefined) await this.#put('model', { ...record, isEvicted: true })
    await this.dropDownload(address)
  }

  /** Forgets a model, and the files that no other one needs. */
  async remove(address: string): Promise<void> {
    await this.#store.write({ removedEntries: [recordKey('model', address), recordKey('download', address)] })
    await this.sweep()
  }

  async clear(): Promise<void> {
    await this.#store.clear()
  }

  /** Bytes of all chunks that are kept. */
  async usedBytes(): Promise<number> {
    const journals = await this.#journals()
    return journals.reduce((sum, [, journal]) => sum + keptBytes(journal), 0)
  }

  /** Bytes of each file that are kept, by hash. */
  async keptBytes(): Promise<ReadonlyMap<string, number>> {
    return new Map((await this.#journals()).map(([sha256, journal]) => [sha256, keptBytes(journal)]))
  }

  /** Evicts until `bytes` more fit the budget. Returns whether they do. */
  async makeRoom(bytes: number, spared: string): Promise<boolean> {
    if (bytes > this.#budgetBytes) return false
    while ((await this.usedBytes()) + bytes > this.#budgetBytes) {
      if (!(await this.evictOne(spared))) return false
    }
    return true
  }

  /** Gives up a saved session's KV, which can be computed again; where there is none, evicts the model that gives way first. Returns whether there was one. */
  async evictOne(spared: string): Promise<boolean> {
    if (await giveUpKv(this.#store)) {
      await this.sweep()
      return true
    }
    const first = firstToEvict(await this.models(), spared)
    if (first === undefined) return false
    await this.evict(first.address)
    return true
  }

  /** Writes, evicting others for as long as there is no room. Rejects where that does not help. */
  async withRoom(spared: string, write: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await write()
      } catch (error) {
        if (!isQuotaError(error) || !(await this.evictOne(spared))) throw error
      }
    }
  }

  /**
   * Removes files that no model and no session needs. Keys are listed first: a file is written after the record that needs it, or with it. No record
   * comes meanwhile, from whatever tab: it might need a file of the same bytes that another's end has just left over.
   */
  sweep(): Promise<void> {
    return this.recording(() => this.#sweep())
  }

  /** Runs `write`, which makes a record, while nobody sweeps. Must not call itself, or `sweep`. */
  recording<T>(write: () => Promise<T>): Promise<T> {
    return this.#recording.run(async () => {
      const release = await acquireLock(recordLock(this.#store.scope))
      try {
        return await write()
      } finally {
        release()
      }
    })
  }

  async #sweep(): Promise<void> {
    const journals = await this.#journals()
    const needed = referencedFiles([
      ...(await this.#records('model')),
      ...(await this.#records('download')),
      ...(await sessionRecords(this.#store)).map(heldBySession),
    ])
    const unused = journals.filter(([sha256]) => !needed.has(sha256))
    await this.#store.write({
      removedEntries: unused.map(([sha256]) => fileKey(sha256)),
      removedChunks: unused.flatMap(([sha256, journal]) => chunkKeysOf(sha256, journal)),
    })
  }

  async #journals(): Promise<(readonly [sha256: string, FileJournal])[]> {
    const keys = await this.#keys('file')
    const found = await Promise.all(
      keys.map(async (sha256) => [sha256, await this.#store.readEntry(fileKey(sha256))] as const),
    )
    return found.filter((pair): pair is [string, FileJournal] =>
      isJournalOf(pair[1], (pair[1] as FileJournal | null)?.bytes ?? -1),
    )
  }

  async #records(kind: RecordKind): Promise<ModelRecord[]> {
    const found = await Promise.all((await this.#keys(kind)).map((address) => this.#record(kind, address)))
    return found.filter((record) => record !== undefined)
  }

  async #record(kind: RecordKind, address: string): Promise<ModelRecord | undefined> {
    const value = await this.#store.readEntry(recordKey(kind, address))
    return isModelRecord(value) ? value : undefined
  }

  async #put(kind: RecordKind, record: ModelRecord): Promise<void> {
    await this.recording(() => this.#store.write({ entries: [[recordKey(kind, record.address), record]] }))
  }

  async #keys(kind: RecordKind | 'file'): Promise<string[]> {
    const prefix = `${kind} `
    return (await this.#store.entryKeys())
      .filter((key) => key.startsWith(prefix))
      .map((key) => key.slice(prefix.length))
  }
}
