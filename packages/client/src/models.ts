import type { LoadProgress, StorageReport, StoredModel, Verification } from '@tabserve/protocol'
import { absoluteUrl } from './absolute-url.ts'
import type { Host } from './hub/host.ts'
import { handOver } from './hub/link.ts'
import type { ModelSource } from './picked-files.ts'
import { pickedFiles } from './picked-files.ts'
import { withPort } from './with-port.ts'

export interface PrefetchOptions {
  readonly onProgress?: (progress: LoadProgress) => void
  /** Stops the download, which fails with `aborted`; the next one goes on where it stopped. */
  readonly signal?: AbortSignal
}

/** The models that the browser's storage keeps, loaded or not. Addresses are relative to the page or absolute. */
export class Models {
  readonly #host: Host

  constructor(host: Host) {
    this.#host = host
  }

  /** Everything that is kept, the last used first. */
  async list(): Promise<readonly StoredModel[]> {
    return this.#host.call((api) => api.listStored())
  }

  /** What is kept of a model and what a load would download. Fetches the manifest of one that is not known. */
  async status(url: string): Promise<StoredModel> {
    return this.#host.call((api) => api.storedStatus(absoluteUrl(url)))
  }

  /** Brings a model into storage without loading it, or goes on with that. Throws `storage` when it cannot be kept. */
  async prefetch(source: ModelSource, { onProgress, signal }: PrefetchOptions = {}): Promise<StoredModel> {
    const request =
      typeof source === 'string' ? { url: absoluteUrl(source) } : { files: await pickedFiles(source) }
    return withPort(onProgress, signal, (port) =>
      this.#host.call((api) => api.prefetch(request, handOver(port))),
    )
  }

  /** Reads a model's files again. What is found damaged is fetched again by the next load. */
  async verify(url: string): Promise<Verification> {
    return this.#host.call((api) => api.verifyStored(absoluteUrl(url)))
  }

  /** Keeps a model that is stored whole from being evicted to make room. */
  async pin(url: string): Promise<void> {
    await this.#host.call((api) => api.setPinned(absoluteUrl(url), true))
  }

  async unpin(url: string): Promise<void> {
    await this.#host.call((api) => api.setPinned(absoluteUrl(url), false))
  }

  /** Gives a model's bytes up and remembers that it was there. Throws `bad_request` for a pinned one. */
  async evict(url: string): Promise<void> {
    await this.#host.call((api) => api.evictStored(absoluteUrl(url)))
  }

  /** Forgets a model and the files that no other one needs. */
  async remove(url: string): Promise<void> {
    await this.#host.call((api) => api.removeStored(absoluteUrl(url)))
  }

  /**
   * Asks the browser not to clear this origin's storage when the disk fills, and says whether it will. Some browsers ask the person first: call it
   * when they expect that. Workers cannot.
   */
  async persist(): Promise<boolean> {
    return (await navigator.storage?.persist?.()) ?? false
  }

  /** Bytes kept, the budget, the browser's quota, and whether storage is persistent. */
  async storage(): Promise<StorageReport> {
    return this.#host.call((api) => api.storage())
  }
}
