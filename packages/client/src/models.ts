import type {
  ConvertRequest,
  LoadCommand,
  LoadProgress,
  StorageReport,
  StoredModel,
  Verification,
} from '@tabserve/protocol'
import { hubAddress } from '@tabserve/protocol'
import type { HubRequests, ModelAddress } from './hugging-face.ts'
import type { WorkerLink } from './hub/worker-link.ts'
import { handOver } from './hub/worker-link.ts'
import type { ModelSource } from './model-source.ts'
import { sourceRequest } from './model-source.ts'
import { pickedFiles } from './picked-files.ts'
import { refuse, unknownOf } from './unknown-options.ts'

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
  readonly #link: () => Promise<WorkerLink>
  readonly #hub: HubRequests

  constructor(link: () => Promise<WorkerLink>, hub: HubRequests) {
    this.#link = link
    this.#hub = hub
  }

  /** Everything that is kept, the last used first. */
  async list(): Promise<readonly StoredModel[]> {
    return (await this.#link()).call((api) => api.listStored())
  }

  /** What is kept of a model and what a load would download. Asks the network about one that is not known, and downloads no weights. */
  async status(model: ModelAddress): Promise<StoredModel> {
    const request = this.#hub.requestOf(model)
    return (await this.#link()).call((api) => api.storedStatus(request))
  }

  /** Brings a model into storage without loading it, or goes on with that. Throws `storage` when it cannot be kept. */
  async prefetch(source: ModelSource, { onProgress, signal }: PrefetchOptions = {}): Promise<StoredModel> {
    const request = await sourceRequest(source, this.#hub)
    const link = await this.#link()
    return withPort(onProgress, signal, (port) => link.call((api) => api.prefetch(request, handOver(port))))
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
    const link = await this.#link()
    return withPort(onProgress, signal, (port) => link.call((api) => api.convert(request, handOver(port))))
  }

  /** Reads a model's files again. What is found damaged is fetched again by the next load. */
  async verify(model: ModelAddress): Promise<Verification> {
    const url = this.addressOf(model)
    return (await this.#link()).call((api) => api.verifyStored(url))
  }

  /** Keeps a model that is stored whole from being evicted to make room. */
  async pin(model: ModelAddress): Promise<void> {
    const url = this.addressOf(model)
    await (await this.#link()).call((api) => api.setPinned(url, true))
  }

  async unpin(model: ModelAddress): Promise<void> {
    const url = this.addressOf(model)
    await (await this.#link()).call((api) => api.setPinned(url, false))
  }

  /** Gives a model's bytes up and remembers that it was there. Throws `bad_request` for a pinned one. */
  async evict(model: ModelAddress): Promise<void> {
    const url = this.addressOf(model)
    await (await this.#link()).call((api) => api.evictStored(url))
  }

  /** Forgets a model and the files that no other one needs. */
  async remove(model: ModelAddress): Promise<void> {
    const url = this.addressOf(model)
    await (await this.#link()).call((api) => api.removeStored(url))
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
    return (await this.#link()).call((api) => api.storage())
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

/** Runs a call that tells of itself through a port and stops by its signal. */
export async function withPort<T>(
  onProgress: ((progress: LoadProgress) => void) | undefined,
  signal: AbortSignal | undefined,
  call: (port: MessagePort) => Promise<T>,
): Promise<T> {
  const { port1, port2 } = new MessageChannel()
  const cancel = () => port1.postMessage({ type: 'cancel' } satisfies LoadCommand)
  port1.onmessage = ({ data }: MessageEvent<LoadProgress>) => onProgress?.(data)
  signal?.addEventListener('abort', cancel)
  // The message waits in the port until the worker listens.
  if (signal?.aborted === true) cancel()
  try {
    return await call(port2)
  } finally {
    signal?.removeEventListener('abort', cancel)
    port1.close()
  }
}
