import type {
  ConvertRequest,
  LoadProgress,
  StorageReport,
  StoredModel,
  Verification,
} from '@tabserve/protocol'
import { hubAddress } from '@tabserve/protocol'
import type { HubRequests, ModelAddress } from './hugging-face.ts'
import type { Host } from './hub/host.ts'
import { handOver } from './hub/link.ts'
import type { ModelSource } from './model-source.ts'
import { sourceRequest } from './model-source.ts'
import { pickedFiles } from './picked-files.ts'
import { refuse, unknownOf } from './unknown-options.ts'
import { withPort } from './with-port.ts'

/** How a model is brought into storage. */
export interface PrefetchOptions {
  readonly onProgress?: (progress: LoadProgress) => void
  /** Stops the download, which fails with `aborted`; the next one goes on where it stopped. */
  readonly signal?: AbortSignal
}

/** How a model is made of picked files. */
export interface ConvertOptions extends Omit<ConvertRequest, 'files'> {
  /** Told of every piece that is made, in phase `convert`. */
  readonly onProgress?: (progress: LoadProgress) => void
  /** Stops the conversion, which fails with `aborted`; nothing of it is kept. */
  readonly signal?: AbortSignal
}

/** The models that the browser's storage keeps, loaded or not. Addresses are relative to the page or absolute, or are repositories. */
export class Models {
  readonly #host: Host
  readonly #hub: HubRequests

  constructor(host: Host, hub: HubRequests) {
    this.#host = host
    this.#hub = hub
  }

  /** Everything that is kept, the last used first. */
  async list(): Promise<readonly StoredModel[]> {
    return this.#host.call((api) => api.listStored())
  }

  /** What is kept of a model and what a load would download. Asks the network about one that is not known, and downloads no weights. */
  async status(model: ModelAddress): Promise<StoredModel> {
    const request = this.#hub.requestOf(model)
    return this.#host.call((api) => api.storedStatus(request))
  }

  /** Brings a model into storage without loading it, or goes on with that. Throws `storage` when it cannot be kept. */
  async prefetch(source: ModelSource, { onProgress, signal }: PrefetchOptions = {}): Promise<StoredModel> {
    const request = await sourceRequest(source, this.#hub)
    return withPort(onProgress, signal, (port) =>
      this.#host.call((api) => api.prefetch(request, handOver(port))),
    )
  }

  /**
   * Makes a model of one `.gguf` file, or of a Hugging Face folder (config.json, safetensors, tokenizer), that the user picked or dropped, and keeps
   * it: `client.load(stored.url)` loads it, offline too. Nothing leaves the device, and nothing holds the whole model. It replaces one of the same name
   * and version. Throws `model_not_found` where a file is missing, `bad_model` for one that is damaged or of a kind that we do not know, `storage`
   * where there is no room, and `aborted`; then nothing is kept.
   */
  async convert(
    source: Iterable<Blob> | FileSystemDirectoryHandle,
    { onProgress, signal, ...options }: ConvertOptions = {},
  ): Promise<StoredModel> {
    refuse(unknownOf(options, CONVERT_OPTIONS), 'convert')
    const request = { ...options, files: await pickedFiles(source) }
    return withPort(onProgress, signal, (port) =>
      this.#host.call((api) => api.convert(request, handOver(port))),
    )
  }

  /** Reads a model's files again. What is found damaged is fetched again by the next load. */
  async verify(model: ModelAddress): Promise<Verification> {
    const url = this.addressOf(model)
    return this.#host.call((api) => api.verifyStored(url))
  }

  /** Keeps a model that is stored whole from being evicted to make room. */
  async pin(model: ModelAddress): Promise<void> {
    const url = this.addressOf(model)
    await this.#host.call((api) => api.setPinned(url, true))
  }

  /** Lets a model be evicted again. */
  async unpin(model: ModelAddress): Promise<void> {
    const url = this.addressOf(model)
    await this.#host.call((api) => api.setPinned(url, false))
  }

  /** Gives a model's bytes up and remembers that it was there. Throws `bad_request` for a pinned one. */
  async evict(model: ModelAddress): Promise<void> {
    const url = this.addressOf(model)
    await this.#host.call((api) => api.evictStored(url))
  }

  /** Forgets a model and the files that no other one needs. */
  async remove(model: ModelAddress): Promise<void> {
    const url = this.addressOf(model)
    await this.#host.call((api) => api.removeStored(url))
  }

  /** What the store calls a model. */
  addressOf(model: ModelAddress): string {
    const request = this.#hub.requestOf(model)
    return 'hub' in request ? hubAddress(request) : request.url
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

/** The compiler checks that none is missing. */
const CONVERT_OPTIONS: Readonly<Record<keyof Omit<ConvertRequest, 'files'>, true>> = {
  name: true,
  version: true,
  weights: true,
  contextLength: true,
  chatTemplate: true,
  license: true,
  description: true,
}
