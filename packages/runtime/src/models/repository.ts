import type {
  LoadProgress,
  Manifest,
  ModelSourceRequest,
  StorageReport,
  StorageWarning,
  StoredModel,
  Verification,
} from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { ModelRecord } from '../storage/model-record.ts'
import { storageReport } from '../storage/storage-facts.ts'
import type { WeightStore } from '../storage/weight-store.ts'
import type { LoadContext } from './file-stream.ts'
import type { Http } from './http.ts'
import { FirstUse } from './hub/first-use.ts'
import { Keeper, warningOf } from './keeper.ts'
import { LoadMeter } from './load-meter.ts'
import { MANIFEST, idOf, parseManifest, totalBytes } from './manifest-text.ts'
import { ModelDraft } from './model-draft.ts'
import type { ModelSource, UnprovenSource } from './model-source.ts'
import type { AddressedRequest } from './model-sources.ts'
import { ModelSources, addressOf } from './model-sources.ts'
import { OpenedModel } from './opened-model.ts'
import type { RetryPolicy } from './retry.ts'
import { aborted } from './retry.ts'
import { describe, describeAbsent, describePreview, isFirstUse, verifyModel } from './stored-models.ts'

export interface OpenOptions {
  readonly signal: AbortSignal
  readonly onProgress: (progress: LoadProgress) => void
  /** Ask the network for the manifest first. */
  readonly refresh: boolean
}

export interface RepositoryOptions {
  readonly store: WeightStore
  readonly http: Http
  readonly retries?: RetryPolicy
  /** Why `store` is not the one that was asked for. */
  readonly problem?: string
}

/** Models by their address: from the store where it has them, from the network or picked files where not, always checked. */
export class ModelRepository {
  readonly #store: WeightStore
  readonly #sources: ModelSources
  readonly #problem: string | undefined

  constructor({ store, http, retries, problem }: RepositoryOptions) {
    this.#store = store
    this.#sources = new ModelSources(http, retries)
    this.#problem = problem
  }

  /**
   * Opens a model, whose files then come from the store as far as it has them: one that it holds whole needs no request. Throws
   * `model_not_found`, `bad_model`, `bad_request`, `network` or `aborted`.
   */
  async open(request: ModelSourceRequest, options: OpenOptions): Promise<OpenedModel> {
    const { signal, onProgress, refresh } = options
    const problem = await failureOf(this.#store.ready())
    const known = 'files' in request ? undefined : await this.#knownAt(addressOf(request))
    const source = await this.#sources.of(request, known?.manifest)
    const record = refresh ? undefined : known
    const isHeld = record !== undefined && !record.isEvicted
    const text = record?.manifest ?? (await source.readText(MANIFEST, signal))
    if (signal.aborted) throw aborted()
    const manifest = parseManifest(text, source.address)
    const keeper = new Keeper(this.#store, source.address, (warning) =>
      onProgress({ type: 'load-progress', phase: 'not-stored', warning }),
    )
    if (problem !== undefined) keeper.giveUp(problem)
    if (isHeld) await keeper.keep(() => this.#store.touch(record))
    await this.#prepare(source.address, text, manifest, keeper, !isHeld)
    return this.#opened(source, manifest, keeper, options)
  }

  /**
   * What is known of a model that was whole once. Of one that was evicted its manifest counts only where nobody else says what its files must be: it is what was
   * trusted on first use.
   */
  async #knownAt(address: string): Promise<ModelRecord | undefined> {
    const record = await this.#store.whole(address).catch(() => undefined) // the keeper meets the same trouble, and says so
    if (record?.isEvicted !== true) return record
    return isFirstUse(record) ? record : undefined
  }

  async #opened(
    source: ModelSource,
    manifest: Manifest,
    keeper: Keeper,
    options: OpenOptions,
  ): Promise<OpenedModel> {
    const { signal, onProgress } = options
    if (!isUnproven(source))
      return new OpenedModel(this.#store, manifest, this.#contextOf(source, manifest, keeper, options, 0))
    const firstUse = new FirstUse(source, manifest, { store: this.#store, keeper, signal, onProgress })
    const { manifest: proven, networkBytes } = await firstUse.run()
    const text = JSON.stringify(proven)
    await this.#prepare(source.address, text, proven, keeper, true)
    return new OpenedModel(
      this.#store,
      proven,
      this.#contextOf(source, proven, keeper, options, networkBytes),
    )
  }

  /** Brings a model into the store without loading it. Throws as `open` does, and `integrity`; `storage` when it could not be kept. */
  async prefetch(request: ModelSourceRequest, options: Omit<OpenOptions, 'refresh'>): Promise<StoredModel> {
    const opened = await this.open(request, { ...options, refresh: false })
    const { notStored } = await opened.finish()
    if (notStored !== undefined) throw new EngineError('storage', notStored.message)
    return this.status({ url: opened.address })
  }

  /**
   * Keeps a model that `work` makes here: once the draft is finished the store has it, and before nobody sees it. Throws what `work` does, and
   * `storage` or `aborted`.
   */
  async make(
    { signal, onProgress }: Omit<OpenOptions, 'refresh'>,
    work: (draft: ModelDraft) => Promise<unknown>,
  ): Promise<StoredModel> {
    await storing(() => this.#store.ready())
    if (this.#problem !== undefined) {
      const message = `${this.#problem}. The model is gone with this worker.`
      onProgress({ type: 'load-progress', phase: 'not-stored', warning: { reason: 'unavailable', message } })
    }
    const draft = new ModelDraft(this.#store, signal)
    try {
      await work(draft)
    } finally {
      await draft.dispose()
    }
    return this.status({ url: draft.address })
  }

  /** Every model of which the store knows, the last used first. */
  async list(): Promise<readonly StoredModel[]> {
    return storing(async () => {
      await this.#store.ready()
      const kept = await this.#store.keptBytes()
      const models = await this.#store.models()
      return models
        .map((record) => describe(record, kept))
        .toSorted((a, b) => (b.usedAt ?? 0) - (a.usedAt ?? 0))
    })
  }

  /** What the store has of a model, and what is missing. Asks the network about one that it does not know. */
  async status(request: AddressedRequest): Promise<StoredModel> {
    const address = addressOf(request)
    const record = await storing(() => this.#store.ready().then(() => this.#store.known(address)))
    const kept = await storing(() => this.#store.keptBytes())
    if (record !== undefined) return describe(record, kept)
    const { signal } = new AbortController()
    const hub = this.#sources.hub(request)
    if (hub !== undefined) return describePreview(address, await hub.preview(signal), kept)
    const text = await (await this.#sources.of(request)).readText(MANIFEST, signal)
    return describeAbsent(address, parseManifest(text, address), kept)
  }

  /** Reads a model's files again. Rotten chunks are fetched again by the next load. Throws `model_not_found`. */
  async verify(url: string): Promise<Verification> {
    const record = await this.#known(url)
    return storing(() => verifyModel(this.#store, record))
  }

  /** Throws `model_not_found` for one that is not whole. */
  async setPinned(url: string, isPinned: boolean): Promise<void> {
    const record = await storing(() => this.#store.model(addressOf({ url })))
    if (record === undefined) throw notStored(url)
    await storing(() => this.#store.setPinned(record, isPinned))
  }

  /** Gives a model's bytes up. Throws `model_not_found`; `bad_request` for a pinned one. */
  async evict(url: string): Promise<void> {
    const record = await this.#known(url)
    if (record.isPinned) throw new EngineError('bad_request', `${url} is pinned: unpin it first.`)
    await storing(() => this.#store.evict(record.address))
  }

  /** Forgets the model at `url` and the files that no other kept model uses, or everything. Throws `storage`. */
  async clear(url?: string): Promise<void> {
    await storing(() => (url === undefined ? this.#store.clear() : this.#store.remove(addressOf({ url }))))
  }

  storage(): Promise<StorageReport> {
    return storing(() => storageReport(this.#store))
  }

  async #known(url: string): Promise<ModelRecord> {
    const record = await storing(() => this.#store.ready().then(() => this.#store.known(addressOf({ url }))))
    if (record === undefined) throw notStored(url)
    return record
  }

  /** Makes room and books the download; what cannot be kept is said before the first byte. */
  async #prepare(
    address: string,
    text: string,
    manifest: Manifest,
    keeper: Keeper,
    isNew: boolean,
  ): Promise<void> {
    if (this.#problem !== undefined)
      keeper.giveUp({ reason: 'unavailable', message: `${this.#problem}. The weights are kept nowhere.` })
    await keeper.keep(async () => {
      const kept = await this.#store.keptBytes()
      const missing = manifest.files.reduce((sum, file) => sum + file.bytes - (kept.get(file.sha256) ?? 0), 0)
      if (missing > 0 && !(await this.#store.makeRoom(missing, address))) {
        const message = `The weights need ${missing} bytes more than the budget of ${this.#store.budgetBytes} has room for.`
        return keeper.giveUp({
          reason: 'budget',
          message: `${message} Raise it, or unpin or remove other models.`,
        })
      }
      if (!isNew) return
      await this.#store.beginDownload({ address, id: idOf(manifest), manifest: text, files: manifest.files })
    })
  }

  #contextOf(
    source: ModelSource,
    manifest: Manifest,
    keeper: Keeper,
    { signal, onProgress }: OpenOptions,
    broughtBytes: number,
  ): LoadContext {
    return {
      source,
      keeper,
      signal,
      origin: source.origin,
      lockOf: (sha256) => this.#store.lockOf(sha256),
      meter: new LoadMeter(totalBytes(manifest), onProgress, broughtBytes),
      open: (file) => this.#store.file(file),
      onWait: (file) => onProgress({ type: 'load-progress', phase: 'waiting', file }),
      onVerify: (file) => onProgress({ type: 'load-progress', phase: 'verify', file }),
      onRetry: (file, reason, waitMs) =>
        onProgress({ type: 'load-progress', phase: 'retry', file, reason, waitMs }),
    }
  }
}

function notStored(url: string): EngineError {
  return new EngineError('model_not_found', `${url} is not in the weight store. Load or prefetch it first.`)
}

/** Nobody says what some of its files must be. */
function isUnproven(source: ModelSource): source is UnprovenSource {
  return 'unproven' in source && (source as UnprovenSource).unproven.size > 0
}

async function failureOf(work: Promise<void>): Promise<StorageWarning | undefined> {
  try {
    await work
    return undefined
  } catch (error) {
    return warningOf(error)
  }
}

async function storing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new EngineError('storage', `The weight store failed: ${String(cause)}`, { cause })
  }
}
