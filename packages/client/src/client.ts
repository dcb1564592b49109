import type {
  DeviceReport,
  GenerateRequest,
  ModelInfo,
  ModelStats,
  RequestEvent,
  StorageConfig,
  TokenizeRequest,
  VersionPolicy,
  WorkerConfig,
} from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import { absoluteUrl } from './absolute-url.ts'
import type { AliasOptions } from './control/alias-table.ts'
import { systemClock } from './control/clock.ts'
import { ControlPlane } from './control/control-plane.ts'
import type { VersionStatus } from './control/model-directory.ts'
import type { HostLoadOptions } from './control/model-host.ts'
import type { Rollout, RolloutOptions } from './control/rollout.ts'
import type { VersionReport } from './control/version-metrics.ts'
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
import { WorkerLink } from './hub/worker-link.ts'
import { fetchIndex } from './index-source.ts'
import type { HubOptions, ModelAddress } from './hugging-face.ts'
import { HubRequests } from './hugging-face.ts'
import type { ModelSource } from './model-source.ts'
import { loadedFrom, sourceRequest } from './model-source.ts'
import { Models } from './models.ts'
import { askRemote } from './remote/remote-request.ts'
import { checkedStorage } from './storage-options.ts'
import type { Metric } from './telemetry/metric.ts'
import { metricsOf } from './telemetry/metrics.ts'
import { refuse, unknownOf } from './unknown-options.ts'
import { WorkerHost } from './worker-host.ts'

export interface ClientOptions {
  /** Makes the worker. Called at once, and by the first `load` after `engine_lost`. */
  readonly worker: () => Worker
  /** Addresses of the files that the worker fetches, relative to the page or absolute. */
  readonly assets: WorkerConfig['assets']
  /** Threads for the wasm backend. Default: half the cores, at most 4; always 1 where the page is not cross-origin isolated. */
  readonly threads?: number
  /** What the worker keeps of models, and where they may come from. */
  readonly storage?: StorageConfig
  /**
   * Most bytes of all loaded models together, KV caches included; what goes beyond it is refused with `memory`. Default: any, and for the second
   * version of a rollout half of the device's memory, where the browser tells it.
   */
  readonly memoryBudgetBytes?: number
  /** Where repositories of the Hugging Face hub come from. */
  readonly hub?: HubOptions
}

/** `signal` stops the download, which fails with `aborted`; what had arrived is kept for the next try. */
export type LoadOptions = HostLoadOptions

/** A generate request as the caller writes it. `model` may be an alias, too. */
export type GenerateOptions = Omit<GenerateRequest, 'task'> & {
  readonly signal?: AbortSignal
  /** An alias sends requests of one key to one version. Default: each is drawn anew. Never leaves the page. */
  readonly stickyKey?: string
}

/** What the page holds: loads models into a worker and asks them. Every method rejects with `EngineError` and nothing else. */
export class Client {
  /** The models that the browser's storage keeps, loaded or not. */
  readonly models: Models
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
  readonly #hub: HubRequests
  readonly #options: Omit<ClientOptions, 'hub'>
  readonly #host: WorkerHost
  readonly #control: ControlPlane
  #link: WorkerLink
  /** The worker that is being started in place of a dead one. */
  #next: Promise<WorkerLink> | undefined
  #disposed = false

  /** Starts the worker. Throws `bad_request` on a wrong option, `engine_lost` when the worker's script cannot be run. */
  static async create(options: ClientOptions): Promise<Client> {
    const { worker, assets, threads, storage, memoryBudgetBytes, hub, ...unknown } = options
    refuse(unknown, 'createClient')
    if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 64)) {
      throw new EngineError('bad_request', `threads ${String(threads)} must be a whole number from 1 to 64.`)
    }
    if (memoryBudgetBytes !== undefined && !(memoryBudgetBytes >= 0)) {
      const problem = `memoryBudgetBytes ${String(memoryBudgetBytes)} must be a number of bytes.`
      throw new EngineError('bad_request', problem)
    }
    const checked = {
      worker,
      assets: absoluteAssets(assets),
      ...(threads === undefined ? {} : { threads }),
      ...(storage === undefined ? {} : { storage: checkedStorage(storage) }),
      ...(memoryBudgetBytes === undefined ? {} : { memoryBudgetBytes }),
    }
    const requests = new HubRequests(hub)
    return new Client(checked, requests, await startLink(checked))
  }

  private constructor(options: Omit<ClientOptions, 'hub'>, hub: HubRequests, link: WorkerLink) {
    this.#options = options
    this.#hub = hub
    this.#link = link
    this.#host = new WorkerHost(
      () => this.#link,
      () => this.#revive(),
    )
    const { memoryBudgetBytes } = options
    this.#control = new ControlPlane({
      host: this.#host,
      clock: systemClock,
      random: Math.random,
      askRemote: (fallback, request, take) =>
        askRemote(fallback, request, take, { fetch: fetch.bind(globalThis), clock: systemClock }),
      memoryBudgetBytes: memoryBudgetBytes ?? Infinity,
      rolloutBudgetBytes: memoryBudgetBytes ?? halfOfMemory(),
    })
    this.#watch()
    this.models = new Models(async () => {
      await this.#revive()
      return this.#link
    }, hub)
  }

  /** Cores, threads and isolation, as the worker found them. */
  get device(): DeviceReport {
    return this.#link.device
  }

  /**
   * Loads the model folder at `url`, the one with `manifest.json`, relative to the page or absolute; or a registered version by its name. A model
   * that was loaded before comes out of the browser's storage without a request. In place of an address it takes a repository of the Hugging Face
   * hub, or the files of a folder that the user picked or dropped; the `url` of what it returns loads that model again;
   * `models.convert` makes one of other files. Starts a new worker if the old one is gone.
   */
  async load(source: ModelSource, options: LoadOptions = {}): Promise<ModelInfo> {
    refuse(unknownOf(options, LOAD_OPTIONS), 'load')
    if (typeof source === 'string' && this.#control.directory.findRegistered(source) !== undefined)
      return this.#control.load(source, options)
    const request = loadedFrom(await sourceRequest(source, this.#hub))
    return 'files' in request
      ? this.#control.adopt(await this.#host.loadFrom(request, options))
      : this.#control.load(request, options)
  }

  /**
   * Frees a model; its files stay in the browser's storage. Its running requests end with `engine_lost`, or, with `drain`, are waited for.
   * New ones are refused, so move aliases away first.
   */
  async unload(model: string, { drain = false }: { readonly drain?: boolean } = {}): Promise<void> {
    await this.#control.unload(model, drain)
  }

  /**
   * Makes the versions known that the index at `url`, a folder with `index.json`, lists and the policy offers: then `load('name@version')`, or
   * `load('name')` for the newest. Nothing is loaded yet. Registering again asks for the index again. Throws `model_not_found`, `network`, `bad_model`.
   */
  async register(
    url: string,
    { versionPolicy }: { readonly versionPolicy?: VersionPolicy } = {},
  ): Promise<readonly VersionStatus[]> {
    const base = absoluteUrl(url.endsWith('/') ? url : `${url}/`)
    const index = await fetchIndex(base, this.#options.storage?.allowedOrigins)
    return this.#control.register(index, base, versionPolicy)
  }

  /** Forgets a registered model; what of it is loaded stays. Throws `model_not_found`. */
  unregister(name: string): void {
    this.#control.directory.unregister(name)
  }

  /** The version that requests which name the model only go to. Default: the newest one that is ready. Throws `model_not_found`. */
  setDefault(name: string, version: string): void {
    this.#control.directory.setDefault(name, version)
  }

  /** Every registered or loaded version and its state. */
  index(): readonly VersionStatus[] {
    return this.#control.directory.list()
  }

  /** Makes a name for one version, or for several among which it splits traffic. Replaces what it stood for; running requests go on. Throws `bad_request`. */
  setAlias(name: string, target: string | AliasOptions): void {
    this.#control.setAlias(name, typeof target === 'string' ? { traffic: { [target]: 100 } } : target)
  }

  /** Throws `model_not_found`. */
  removeAlias(name: string): void {
    this.#control.removeAlias(name)
  }

  aliases(): ReadonlyMap<string, AliasOptions> {
    return this.#control.aliases()
  }

  /**
   * Warms a new version beside the old one, moves an alias to it in steps, and back by itself when it breaks a guard. Requests under way end where
   * they began; the version that lost is then drained and unloaded. Throws `memory` before anything has begun where both do not fit, `bad_request`,
   * `model_not_found`, `model_not_loaded`.
   */
  rollout(options: RolloutOptions): Promise<Rollout> {
    return this.#control.rollout(options)
  }

  /** What each version has done for its requests, as seen from the page: errors, time to the first token, inter-token latency. */
  versionReports(): readonly VersionReport[] {
    return this.#control.reports()
  }

  /** The loaded models. */
  list(): Promise<readonly ModelInfo[]> {
    return this.#link.call((api) => api.list())
  }

  /** One loaded model and how it really runs: `runner` and why, threads, memory. Rejects with `model_not_loaded`. */
  describe(model: string): Promise<ModelInfo> {
    return this.#link.call((api) => api.describe(this.#control.directory.resolve(model)))
  }

  /** What a model is doing and has done. */
  stats(model: string): Promise<ModelStats> {
    return this.#link.call((api) => api.stats(this.#control.directory.resolve(model)))
  }

  /** Every figure of every loaded model, under vLLM's names; `tabserve/prometheus` writes them as text. */
  async metrics(): Promise<readonly Metric[]> {
    const models = (await this.list()).map(async (info) => ({ info, stats: await this.stats(info.id) }))
    return metricsOf(await Promise.all(models))
  }

  /** The tokens of a prompt or of a conversation, as the model would read them. */
  tokenize(request: TokenizeRequest): Promise<readonly number[]> {
    const model = this.#control.directory.resolve(request.model)
    return this.#link.call((api) => api.tokenize({ ...request, model }))
  }

  /** What each token alone adds to a text; half of a character is U+FFFD. */
  tokenTexts(model: string, tokens: readonly number[]): Promise<readonly string[]> {
    return this.#link.call((api) => api.tokenTexts(this.#control.directory.resolve(model), tokens))
  }

  /** Forgets the KV that ended requests left behind, so that the next prompts are computed whole. */
  async resetPrefixCache(model: string): Promise<void> {
    await this.#link.call((api) => api.resetPrefixCache(this.#control.directory.resolve(model)))
  }

  /** Deletes what the browser's storage keeps of a model, or of every model. Loaded models go on working. */
  async clearCache(model?: ModelAddress): Promise<void> {
    const address = model === undefined ? undefined : this.models.addressOf(model)
    await this.#link.call((api) => api.clearCache(address))
  }

  /**
   * Asks a model to continue a prompt or answer a conversation. Starts at once; what is wrong with the request rejects the
   * generation. A generation is thenable: an `async` function that returns one waits for the whole answer.
   */
  generate({ signal, stickyKey, ...options }: GenerateOptions): Generation {
    let cancelRequest = () => {}
    const generation = new Generation(() => cancelRequest())
    const cancel = () => generation.cancel()
    const take = (event: RequestEvent) => {
      generation.take(event)
      if (event.type !== 'delta') signal?.removeEventListener('abort', cancel)
    }
    signal?.addEventListener('abort', cancel)
    try {
      const listener = { servedBy: generation.setServedBy.bind(generation), take }
      cancelRequest = this.#control.submit({ task: 'generate', ...options }, stickyKey, listener)
    } catch (error) {
      take({ type: 'error', error: toWireError(error, 'bad_request') })
    }
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
    const link = await this.#next
    if (link === this.#link) return
    this.#link = link
    this.#watch()
    if (this.#disposed) this.dispose()
  }

  #watch(): void {
    this.#link.onDeath(() => this.#control.lost())
  }
}

function startLink({ worker, assets, memoryBudgetBytes: _, ...options }: ClientOptions): Promise<WorkerLink> {
  return WorkerLink.start(worker, { assets, ...options })
}

/** Chromium tells, rounded and at most 8 GiB. */
function halfOfMemory(): number {
  const { deviceMemory } = navigator as { readonly deviceMemory?: number }
  return deviceMemory === undefined ? Infinity : deviceMemory * 2 ** 29
}

/** Every option of a load. The compiler checks that none is missing. */
const LOAD_OPTIONS: Readonly<Record<keyof LoadOptions, true>> = {
  onProgress: true,
  signal: true,
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

/** The worker has another base than the page. */
function absoluteAssets({ mjs, wasm, kernels, grammar }: WorkerConfig['assets']): WorkerConfig['assets'] {
  const absolute = (address: string) => new URL(address, location.href).href
  return {
    mjs: absolute(mjs),
    wasm: absolute(wasm),
    grammar: absolute(grammar),
    kernels: {
      plain: absolute(kernels.plain),
      relaxed: absolute(kernels.relaxed),
      'plain-threads': absolute(kernels['plain-threads']),
      'relaxed-threads': absolute(kernels['relaxed-threads']),
    },
  }
}
