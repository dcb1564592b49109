import type {
  DeviceReport,
  GenerateRequest,
  LoadProgress,
  LoadRequest,
  ModelInfo,
  ModelStats,
  RequestCommand,
  RequestEvent,
  StorageConfig,
  TokenizeRequest,
  WorkerConfig,
} from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import { absoluteUrl } from './absolute-url.ts'
import { kserveRoutes } from './doors/http/kserve-routes.ts'
import { metricsRoute } from './doors/http/metrics-route.ts'
import { openAIRoutes } from './doors/http/openai-routes.ts'
import type { LocalFetch } from './doors/http/serve-routes.ts'
import { serveRoutes } from './doors/http/serve-routes.ts'
import { KServeDoor } from './doors/kserve/kserve-door.ts'
import { OpenAIDoor } from './doors/openai/openai-door.ts'
import type { OriginServerOptions } from './doors/service-worker/origin-server.ts'
import { OriginServer } from './doors/service-worker/origin-server.ts'
import { Generation } from './generation.ts'
import { WorkerLink, handOver } from './hub/worker-link.ts'
import { Models, withPort } from './models.ts'
import type { ModelSource } from './picked-files.ts'
import { pickedFiles } from './picked-files.ts'
import { checkedStorage } from './storage-options.ts'
import type { Metric } from './telemetry/metric.ts'
import { metricsOf } from './telemetry/metrics.ts'

export interface ClientOptions {
  /** Makes the worker. Called at once, and by the first `load` after `engine_lost`. */
  readonly worker: () => Worker
  /** Addresses of the files that the worker fetches, relative to the page or absolute. */
  readonly assets: WorkerConfig['assets']
  /** Threads for the wasm backend. Default: half the cores, at most 4; always 1 where the page is not cross-origin isolated. */
  readonly threads?: number
  /** What the worker keeps of models, and where they may come from. */
  readonly storage?: StorageConfig
}

export interface LoadOptions extends Omit<LoadRequest, 'url' | 'files'> {
  readonly onProgress?: (progress: LoadProgress) => void
  /** Stops the download, which fails with `aborted`. What had arrived is kept for the next try. */
  readonly signal?: AbortSignal
}

/** A generate request as the caller writes it. */
export type GenerateOptions = Omit<GenerateRequest, 'task'> & { readonly signal?: AbortSignal }

/** What the page holds: loads models into a worker and asks them. Every method rejects with `EngineError` and nothing else. */
export class Client {
  /** The models that the browser's storage keeps, loaded or not. */
  readonly models = new Models(async () => {
    await this.#revive()
    return this.#link
  })
  /** This client in OpenAI's words; `chat`, `completions` and `responses` are the same, nearer at hand. */
  readonly openai = new OpenAIDoor(this)
  readonly chat = this.openai.chat
  readonly completions = this.openai.completions
  readonly responses = this.openai.responses
  /** This client in KServe's words. */
  readonly kserve = new KServeDoor(this)
  /** Answers `…/v1/…` and `…/v2/…` as an HTTP server would, without a network: for SDKs that take a `fetch`. */
  readonly fetch: LocalFetch = serveRoutes([
    openAIRoutes(this.openai),
    kserveRoutes(this.kserve),
    metricsRoute(() => this.metrics()),
  ])
  readonly #options: ClientOptions
  #link: WorkerLink
  /** The worker that is being started in place of a dead one. */
  #next: Promise<WorkerLink> | undefined
  #disposed = false

  /** Starts the worker. Throws `bad_request` on a wrong option, `engine_lost` when the worker's script cannot be run. */
  static async create(options: ClientOptions): Promise<Client> {
    const { worker, assets, threads, storage, ...unknown } = options
    refuse(unknown, 'createClient')
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 64)) {
      throw new EngineError('bad_request', `threads ${String(threads)} must be a whole number from 1 to 64.`)
    }
    const checked = {
      worker,
      assets: absoluteAssets(assets),
      ...(threads === undefined ? {} : { threads }),
      ...(storage === undefined ? {} : { storage: checkedStorage(storage) }),
    }
    return new Client(checked, await startLink(checked))
  }

  private constructor(options: ClientOptions, link: WorkerLink) {
    this.#options = options
    this.#link = link
  }

  /** Cores, threads and isolation, as the worker found them. */
  get device(): DeviceReport {
    return this.#link.device
  }

  /**
   * Loads the model folder at `url`, the one with `manifest.json`, relative to the page or absolute. A model that was loaded
   * before comes out of the browser's storage without a request. In place of an address it takes the files of a folder that the user picked or
   * dropped; the `url` of what it returns loads that model again. Starts a new worker if the old one is gone.
   */
  async load(source: ModelSource, options: LoadOptions = {}): Promise<ModelInfo> {
    const { onProgress, signal, ...serving } = options
    refuse(unknownOf(serving, LOAD_OPTIONS), 'load')
    const from =
      typeof source === 'string'
        ? { url: absoluteUrl(source) }
        : { url: '', files: await pickedFiles(source) }
    const request: LoadRequest = { ...serving, ...from }
    if (signal?.aborted === true)
      throw new EngineError('aborted', 'The signal had fired before the load began.')
    await this.#revive()
    return withPort(onProgress, signal, (port) => this.#link.call((api) => api.load(request, handOver(port))))
  }

  /** Frees a model. Its running requests end with `engine_lost`; its files stay in the browser's storage. */
  async unload(model: string): Promise<void> {
    await this.#link.call((api) => api.unload(model))
  }

  /** The loaded models. */
  list(): Promise<readonly ModelInfo[]> {
    return this.#link.call((api) => api.list())
  }

  /** One loaded model and how it really runs: `runner` and why, threads, memory. Rejects with `model_not_loaded`. */
  describe(model: string): Promise<ModelInfo> {
    return this.#link.call((api) => api.describe(model))
  }

  /** What a model is doing and has done. */
  stats(model: string): Promise<ModelStats> {
    return this.#link.call((api) => api.stats(model))
  }

  /** Every figure of every loaded model, under vLLM's names; `tabserve/prometheus` writes them as text. */
  async metrics(): Promise<readonly Metric[]> {
    const models = (await this.list()).map(async (info) => ({ info, stats: await this.stats(info.id) }))
    return metricsOf(await Promise.all(models))
  }

  /** The tokens of a prompt or of a conversation, as the model would read them. */
  tokenize(request: TokenizeRequest): Promise<readonly number[]> {
    return this.#link.call((api) => api.tokenize(request))
  }

  /** What each token alone adds to a text; half of a character is U+FFFD. */
  tokenTexts(model: string, tokens: readonly number[]): Promise<readonly string[]> {
    return this.#link.call((api) => api.tokenTexts(model, tokens))
  }

  /** Forgets the KV that ended requests left behind, so that the next prompts are computed whole. */
  async resetPrefixCache(model: string): Promise<void> {
    await this.#link.call((api) => api.resetPrefixCache(model))
  }

  /** Deletes what the browser's storage keeps of the model at `url`, or of every model. Loaded models go on working. */
  async clearCache(url?: string): Promise<void> {
    const folder = url === undefined ? undefined : absoluteUrl(url)
    await this.#link.call((api) => api.clearCache(folder))
  }

  /**
   * Asks a model to continue a prompt or answer a conversation. Starts at once; what is wrong with the request rejects the
   * generation. A generation is thenable: an `async` function that returns one waits for the whole answer.
   */
  generate({ signal, ...options }: GenerateOptions): Generation {
    const link = this.#link
    const { port1, port2 } = new MessageChannel()
    const generation = new Generation(() => port1.postMessage({ type: 'cancel' } satisfies RequestCommand))
    const cancel = () => generation.cancel()
    let forget = () => {}
    const take = (event: RequestEvent) => {
      generation.take(event)
      if (event.type === 'delta') return
      signal?.removeEventListener('abort', cancel)
      forget()
      port1.close()
    }
    const fail = (error: unknown) => take({ type: 'error', error: toWireError(error, 'bad_request') })
    port1.onmessage = ({ data }: MessageEvent<RequestEvent>) => take(data)
    signal?.addEventListener('abort', cancel)
    forget = link.onDeath(fail)
    if (!link.alive) return generation
    const request: GenerateRequest = { task: 'generate', ...options }
    // The request goes first, so that a cancel finds it.
    link.send((api) => api.submit(request, handOver(port2))).catch(fail)
    if (signal?.aborted === true) cancel()
    return generation
  }

  /** Has a service worker answer every page of this origin with this client. Throws `backend_failed` where there can be none, `bad_request` where none is registered. */
  serveOrigin(options: OriginServerOptions = {}): Promise<OriginServer> {
    return OriginServer.start(this, options)
  }

  /** Ends the worker and frees everything; running requests end with `engine_lost`. */
  dispose(): void {
    this.#disposed = true
    this.#link.terminate('the client was disposed of')
  }

  [Symbol.dispose](): void {
    this.dispose()
  }

  /** Two loads after a death share one new worker. After `dispose` there is none. */
  async #revive(): Promise<void> {
    if (this.#link.alive || this.#disposed) return
    this.#next ??= startLink(this.#options).finally(() => (this.#next = undefined))
    this.#link = await this.#next
    if (this.#disposed) this.dispose()
  }
}

function startLink({ worker, assets, ...options }: ClientOptions): Promise<WorkerLink> {
  return WorkerLink.start(worker, { assets, ...options })
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
