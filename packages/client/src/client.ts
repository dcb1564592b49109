import type {
  DeviceReport,
  GenerateRequest,
  Health,
  LoadProgress,
  LoadRequest,
  ModelHealth,
  ModelInfo,
  ModelStats,
  Scaling,
  StorageConfig,
  WorkerConfig,
} from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { absoluteUrl } from './absolute-url.ts'
import type { Generation } from './generation.ts'
import type { GrantOptions } from './grant/grant.ts'
import { Grant } from './grant/grant.ts'
import type { Host, Role } from './hub/host.ts'
import { OwnHost, disposed } from './hub/host.ts'
import { handOver } from './hub/link.ts'
import { TabHost } from './hub/tabs/tab-host.ts'
import { Models } from './models.ts'
import type { ModelSource } from './picked-files.ts'
import { pickedFiles } from './picked-files.ts'
import { Requests } from './requests.ts'
import { checkedStorage } from './storage-options.ts'
import { withPort } from './with-port.ts'

/** Longer than the slowest step of a model that fits the CPU. */
const HANG_TIMEOUT_MS = 20_000

export interface ClientOptions {
  /** Makes a worker. Called at once, for every replica, and for a replica whose worker died. */
  readonly worker: () => Worker
  /** Addresses of the files that the worker fetches, relative to the page or absolute. */
  readonly assets: WorkerConfig['assets']
  /** Threads of each worker. Default: half the cores, at most 4, and no more than its share where a model has replicas; always 1 where the page is not cross-origin isolated. */
  readonly threads?: number
  /** Milliseconds without a sign of life, or without progress while there is work, after which a worker is replaced. Default 20 s, 2 min while it loads. */
  readonly hangTimeoutMs?: number
  /**
   * One engine for all tabs of this origin that say so, with the same assets, threads and storage: the first tab's, and when it closes another's, where
   * running requests go on. Where the browser has no shared workers or no Web Locks the tab is alone: `client.role` says. Default false: loads, `scale` and
   * `clearCache` of one tab act on all of them, and a page in the background lends its time to the others.
   */
  readonly share?: boolean
  /** Makes the shared worker through which tabs find each other. */
  readonly broker?: (name: string) => SharedWorker
  /** What the worker keeps of models, and where they may come from. */
  readonly storage?: StorageConfig
}

export interface LoadOptions extends Omit<LoadRequest, 'url' | 'files'>, Scaling {
  readonly onProgress?: (progress: LoadProgress) => void
  /** Stops the download, which fails with `aborted`. What had arrived is kept for the next try. */
  readonly signal?: AbortSignal
}

/** A generate request as the caller writes it. */
export type GenerateOptions = Omit<GenerateRequest, 'task'> & { readonly signal?: AbortSignal }

/** What the page holds: loads models into workers and asks them. Every method rejects with `EngineError` and nothing else. */
export class Client {
  /** The models that the browser's storage keeps, loaded or not. */
  readonly models: Models
  readonly #host: Host
  readonly #requests: Requests
  readonly #grants: Grant[] = []

  /** Starts a worker. Throws `bad_request` on a wrong option, `engine_lost` when the worker's script cannot be run. */
  static async create(options: ClientOptions): Promise<Client> {
    const { worker, assets, threads, hangTimeoutMs, storage, share = false, broker, ...unknown } = options
    refuse(unknown, 'createClient')
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 64)) {
      throw new EngineError('bad_request', `threads ${String(threads)} must be a whole number from 1 to 64.`)
    }
    if (hangTimeoutMs !== undefined && !(typeof hangTimeoutMs === 'number' && hangTimeoutMs > 0)) {
      throw new EngineError('bad_request', `hangTimeoutMs ${String(hangTimeoutMs)} must be a number above 0.`)
    }
    const own = {
      worker,
      assets: absoluteAssets(assets),
      hangTimeoutMs: hangTimeoutMs ?? HANG_TIMEOUT_MS,
      ...(threads === undefined ? {} : { threads }),
      ...(storage === undefined ? {} : { storage: checkedStorage(storage) }),
    }
    if (!share || broker === undefined) return new Client(await OwnHost.create(own))
    return new Client((await TabHost.create(own, broker)) ?? (await OwnHost.create(own)))
  }

  private constructor(host: Host) {
    this.#host = host
    this.#requests = new Requests(host)
    this.models = new Models(host)
  }

  /** Cores, threads and isolation, as the first worker found them. */
  get device(): DeviceReport {
    return this.#host.device
  }

  /** Whether the workers are this tab's, and whether for others too. Changes when another tab closes. */
  get role(): Role {
    return this.#host.role
  }

  /**
   * Loads the model folder at `url`, the one with `manifest.json`, relative to the page or absolute. A model that was loaded
   * before comes out of the browser's storage without a request. In place of an address it takes the files of a folder that the user picked or
   * dropped; the `url` of what it returns loads that model again. One of the same name and version is replaced once the new one is ready.
   */
  async load(source: ModelSource, options: LoadOptions = {}): Promise<ModelInfo> {
    const { onProgress, signal, replicas, idleTimeoutMs, ...serving } = options
    refuse(unknownOf(serving, LOAD_OPTIONS), 'load')
    const from =
      typeof source === 'string'
        ? { url: absoluteUrl(source) }
        : { url: '', files: await pickedFiles(source) }
    const request: LoadRequest = { ...serving, ...from }
    const scaling: Scaling = {
      ...(replicas === undefined ? {} : { replicas }),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    }
    if (signal?.aborted === true)
      throw new EngineError('aborted', 'The signal had fired before the load began.')
    return withPort(onProgress, signal, (port) =>
      this.#host.call((api) => api.load(request, scaling, handOver(port))),
    )
  }

  /** Frees a model, once no other tab that loaded it holds it. Its running requests end with `engine_lost`; its files stay in the browser's storage. */
  async unload(model: string): Promise<void> {
    await this.#host.call((api) => api.unload(model))
  }

  /**
   * Sets how many workers hold a model, each with all of it; resolves when they do. What a worker has begun it ends before it goes. With 0 none holds
   * it, until the next request brings one back from the store. Throws `model_not_loaded`, `bad_request`, or what keeps a worker from starting.
   */
  scale(model: string, replicas: number): Promise<ModelHealth> {
    return this.#host.call((api) => api.scale(model, replicas))
  }

  /** Whether anything can be asked, and how each model and each of its workers is. */
  health(): Promise<Health> {
    return this.#host.call((api) => api.health())
  }

  /** The loaded models. */
  list(): Promise<readonly ModelInfo[]> {
    return this.#host.call((api) => api.list())
  }

  /** One loaded model and how it really runs: `runner` and why, threads, memory. Rejects with `model_not_loaded`. */
  describe(model: string): Promise<ModelInfo> {
    return this.#host.call((api) => api.describe(model))
  }

  /** What a model is doing and has done, all its workers together. */
  stats(model: string): Promise<ModelStats> {
    return this.#host.call((api) => api.stats(model))
  }

  /** Forgets the KV that ended requests left behind, so that the next prompts are computed whole. */
  async resetPrefixCache(model: string): Promise<void> {
    await this.#host.call((api) => api.resetPrefixCache(model))
  }

  /** Deletes what the browser's storage keeps of the model at `url`, or of every model. Loaded models go on working. */
  async clearCache(url?: string): Promise<void> {
    const folder = url === undefined ? undefined : absoluteUrl(url)
    await this.#host.call((api) => api.clearCache(folder))
  }

  /**
   * Asks a model to continue a prompt or answer a conversation. Starts at once; what is wrong with the request rejects the
   * generation. When a worker dies on the way, another goes on where it was. A generation is thenable: an `async` function that returns one waits
   * for the whole answer.
   */
  generate(options: GenerateOptions): Generation {
    return this.#requests.generate(options)
  }

  /**
   * The right to ask some models and nothing else, as a port for an iframe or a script that is not trusted. Throws `bad_request`.
   */
  grant(options: GrantOptions): Grant {
    const { models, maxRequests, ...unknown } = options
    refuse(unknown, 'grant')
    const grant = new Grant(this.#host, { models, ...(maxRequests === undefined ? {} : { maxRequests }) })
    this.#grants.push(grant)
    return grant
  }

  /** Ends the workers and frees everything; running requests end with `engine_lost`. */
  dispose(): void {
    this.#requests.failAll(disposed())
    for (const grant of this.#grants.splice(0)) grant.revoke()
    this.#host.dispose()
  }

  [Symbol.dispose](): void {
    this.dispose()
  }
}

/** Every option of a load that goes to the worker. The compiler checks that none is missing. */
const LOAD_OPTIONS: Readonly<Record<keyof Omit<LoadRequest, 'url' | 'files'>, true>> = {
  runner: true,
  kvType: true,
  refresh: true,
  contextLength: true,
  maxRunning: true,
  maxWaiting: true,
  kvBudgetBytes: true,
  maxTokensPerStep: true,
  targetGapMs: true,
  speculation: true,
}

function unknownOf(options: object, known: object): object {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !Object.hasOwn(known, name)))
}

function refuse(unknown: object, where: string): void {
  const [name] = Object.keys(unknown)
  if (name !== undefined) throw new EngineError('bad_request', `${where} has no option ${name}.`)
}

/** The worker has another base than the page. */
function absoluteAssets({ mjs, wasm, kernels }: WorkerConfig['assets']): WorkerConfig['assets'] {
  const absolute = (address: string) => new URL(address, location.href).href
  return {
    mjs: absolute(mjs),
    wasm: absolute(wasm),
    kernels: {
      plain: absolute(kernels.plain),
      relaxed: absolute(kernels.relaxed),
      'plain-threads': absolute(kernels['plain-threads']),
      'relaxed-threads': absolute(kernels['relaxed-threads']),
    },
  }
}
