import type {
  DeviceReport,
  Health,
  ModelHealth,
  ModelInfo,
  InferRequest,
  ModelStats,
  SleepOptions,
  PipelineSpec,
  Request,
  RunRequest,
  TokenizeRequest,
  VersionPolicy,
} from '@tabserve/protocol'
import { planPipeline } from '@tabserve/engine'
import { absoluteUrl } from './absolute-url.ts'
import type { CheckedOptions, ClientOptions, GenerateOptions, LoadOptions } from './client-options.ts'
import { LOAD_OPTIONS, checkedOptions } from './client-options.ts'
import type { AliasOptions } from './control/alias-table.ts'
import { systemClock } from './control/clock.ts'
import { ControlPlane } from './control/control-plane.ts'
import type { Listener } from './control/dispatcher.ts'
import type { VersionStatus } from './control/model-directory.ts'
import type { RemoteReport } from './control/remote-traffic.ts'
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
import type { Generation } from './generation.ts'
import type { InferResult, OneShotOptions, RunResult } from './inference.ts'
import { inferenceOf } from './inference.ts'
import type { GrantOptions, GrantPorts } from './grant/grant.ts'
import { Grant } from './grant/grant.ts'
import type { Host, Role } from './hub/host.ts'
import { OwnHost, disposed } from './hub/host.ts'
import { HostedModels } from './hub/hosted-models.ts'
import { TabHost } from './hub/tabs/tab-host.ts'
import type { ModelAddress } from './hugging-face.ts'
import type { HiddenOptions } from './lifecycle/hidden-policy.ts'
import { HiddenPolicy } from './lifecycle/hidden-policy.ts'
import { watchPage } from './lifecycle/page-events.ts'
import { fetchIndex } from './index-source.ts'
import type { ModelSource } from './model-source.ts'
import { loadedFrom, sourceRequest } from './model-source.ts'
import { Models } from './models.ts'
import { askRemote } from './remote/remote-request.ts'
import type { Session } from './sessions/session.ts'
import type { SessionOptions } from './sessions/session-options.ts'
import { Sessions } from './sessions/sessions.ts'
import { SequenceHandle } from './sequence.ts'
import type { Pipeline } from './pipeline.ts'
import { pipelineOf, withAddresses } from './pipeline.ts'
import { startGeneration } from './start-generation.ts'
import { Tasks } from './tasks.ts'
import type { Metric } from './telemetry/metric.ts'
import { metricsOf } from './telemetry/metrics.ts'
import { remoteMetricsOf } from './telemetry/remote-metrics.ts'
import { Telemetry } from './telemetry/telemetry.ts'
import { refuse, unknownOf } from './unknown-options.ts'

/** What the page holds: loads models into workers and asks them. Every method rejects with `EngineError` and nothing else. */
export class Client {
  /** The models that the browser's storage keeps, loaded or not. */
  readonly models: Models
  /** Conversations that the browser's storage keeps, KV and all. */
  readonly sessions: Sessions
  readonly #tasks = new Tasks(this)
  /** The tasks of models with tabserve's own handlers, typed: what `run` does for any. */
  readonly embed = bound(this.#tasks, 'embed')
  readonly classify = bound(this.#tasks, 'classify')
  readonly classifyZeroShot = bound(this.#tasks, 'classifyZeroShot')
  readonly classifyTokens = bound(this.#tasks, 'classifyTokens')
  readonly rerank = bound(this.#tasks, 'rerank')
  readonly split = bound(this.#tasks, 'split')
  readonly classifyImage = bound(this.#tasks, 'classifyImage')
  readonly detect = bound(this.#tasks, 'detect')
  readonly detectVoice = bound(this.#tasks, 'detectVoice')
  readonly transcribe = bound(this.#tasks, 'transcribe')
  /** This client in OpenAI's words; `chat`, `completions`, `embeddings` and `responses` are the same, nearer at hand. */
  readonly openai = new OpenAIDoor(this)
  readonly chat = this.openai.chat
  readonly completions = this.openai.completions
  readonly responses = this.openai.responses
  readonly embeddings = this.openai.embeddings
  /** This client in KServe's words. */
  readonly kserve = new KServeDoor(this)
  /** Answers `…/v1/…` and `…/v2/…` as an HTTP server would, without a network: for SDKs that take a `fetch`. */
  readonly fetch: LocalFetch = serveRoutes([
    openAIRoutes(this.openai),
    kserveRoutes(this.kserve),
    metricsRoute(() => this.metrics()),
  ])
  readonly #options: CheckedOptions
  readonly #host: Host
  readonly #hosted: HostedModels
  readonly #control: ControlPlane
  readonly #grants: Grant[] = []
  #stopFollowing = () => {}
  readonly #telemetry: Telemetry | undefined

  /** Starts a worker, or joins the tabs that share one. Throws `bad_request` on a wrong option, `engine_lost` when the worker's script cannot be run. */
  static async create(options: ClientOptions): Promise<Client> {
    const checked = checkedOptions(options)
    const { workers, broker } = checked
    const shared = broker === undefined ? undefined : await TabHost.create(workers, broker)
    return new Client(checked, shared ?? (await OwnHost.create(workers)))
  }

  private constructor(options: CheckedOptions, host: Host) {
    this.#options = options
    this.#host = host
    const { memoryBudgetBytes, whenHidden, whenTight } = options
    this.#hosted = new HostedModels(host, whenTight)
    this.#control = new ControlPlane({
      host: this.#hosted,
      clock: systemClock,
      random: Math.random,
      askRemote: (fallback, request, take) =>
        askRemote(fallback, request, take, { fetch: fetch.bind(globalThis), clock: systemClock }),
      memoryBudgetBytes: memoryBudgetBytes ?? Infinity,
      rolloutBudgetBytes: memoryBudgetBytes ?? halfOfMemory(),
    })
    this.models = new Models(host, options.hub)
    this.sessions = new Sessions({
      host,
      submit: (request, listener) => this.#submit(request, undefined, listener),
      versionOf: (name, stickyKey) => this.#control.versionOf(name, stickyKey),
    })
    if (whenHidden !== undefined && 'document' in globalThis) this.#followPage(whenHidden)
    this.#telemetry = options.telemetry === undefined ? undefined : new Telemetry(options.telemetry)
    void this.#telemetry?.listen(host)
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
   * Loads the model folder at `url`, the one with `manifest.json`, relative to the page or absolute; or a registered version by its name. A model
   * that was loaded before comes out of the browser's storage without a request. In place of an address it takes a repository of the Hugging Face
   * hub, or the files of a folder that the user picked or dropped; the `url` of what it returns loads that model again;
   * `models.convert` makes one of other files. One of the same name and version is replaced once the new one is ready.
   */
  async load(source: ModelSource, options: LoadOptions = {}): Promise<ModelInfo> {
    refuse(unknownOf(options, LOAD_OPTIONS), 'load')
    if (typeof source === 'string' && this.#control.directory.findRegistered(source) !== undefined)
      return this.#control.load(source, options)
    const request = loadedFrom(await sourceRequest(source, this.#options.hub))
    return 'files' in request
      ? this.#control.adopt(await this.#hosted.loadFrom(request, options), options)
      : this.#control.load(request, options)
  }

  /**
   * Frees a model, once no other tab that loaded it holds it; its files stay in the browser's storage. Its running requests end with `engine_lost`, or, with `drain`, are waited for.
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
    const index = await fetchIndex(base, this.#options.workers.storage?.allowedOrigins)
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

  /** Every alias and what it stands for. */
  aliases(): ReadonlyMap<string, AliasOptions> {
    return this.#control.aliases()
  }

  /**
   * Warms a new version beside the old one, moves an alias to it in steps, and back by itself when it breaks a guard. Requests under way end where
   * they began; the version that lost is then drained and unloaded. Throws `memory` before anything has begun where both do not fit, `bad_request`,
   * `model_not_found`, `model_not_loaded`.
   */
  rollout(options: RolloutOptions): Promise<Rollout> {
    return this.#control.rollout(this.#telemetry?.ofRollout(options) ?? options)
  }

  /** What each version has done for its requests, as seen from the page: errors, time to the first token, inter-token latency. */
  versionReports(): readonly VersionReport[] {
    return this.#control.reports()
  }

  /** What servers have done in place of versions, by alias: how many requests went there, why, and how they fared. */
  remoteReports(): readonly RemoteReport[] {
    return this.#control.remoteReports()
  }

  /**
   * Sets how many workers hold a model, each with all of it; resolves when they do. What a worker has begun it ends before it goes. With 0 none holds
   * it, until the next request brings one back from the store. Throws `model_not_loaded`, `bad_request`, `memory`, or what keeps a worker from starting.
   */
  async scale(model: string, replicas: number): Promise<ModelHealth> {
    const id = await this.#control.checkScale(model, replicas)
    return this.#host.call((api) => api.scale(id, replicas))
  }

  /**
   * Puts a model to sleep; resolves when it sleeps. Level 0 pauses it, 1 (the default) gives back device memory, session and KV, 2 ends its workers, too. By default
   * running requests end first and those that arrive wait for `wake`: see `SleepOptions`. Where tabs share an engine it sleeps for all of them. Throws `bad_request`.
   */
  async sleep(model: string, options: SleepOptions = {}): Promise<ModelHealth> {
    const id = this.#control.directory.resolve(model)
    return this.#host.call((api) => api.sleep(id, options))
  }

  /**
   * Brings a model back that sleeps, for whatever reason, out of the store: it answers as before. Harmless when it does not sleep. Throws `memory` where
   * others have taken its place, or what keeps it from starting.
   */
  async wake(model: string): Promise<ModelHealth> {
    const id = await this.#control.checkWake(model)
    return this.#host.call((api) => api.wake(id))
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
    return this.#host.call((api) => api.describe(this.#control.directory.resolve(model)))
  }

  /** What a model is doing and has done, all its workers together. */
  stats(model: string): Promise<ModelStats> {
    return this.#host.call((api) => api.stats(this.#control.directory.resolve(model)))
  }

  /** Every figure of every loaded model, and of servers asked in their place, under vLLM's names; `tabserve/prometheus` writes them as text. */
  async metrics(): Promise<readonly Metric[]> {
    const { models: health } = await this.health()
    const models = (await this.list()).map(async (info) => {
      const found = health.find(({ id }) => id === info.id)
      return { info, stats: await this.stats(info.id), ...(found === undefined ? {} : { health: found }) }
    })
    return [...metricsOf(await Promise.all(models)), ...remoteMetricsOf(this.remoteReports())]
  }

  /** The tokens of a prompt or of a conversation, as the model would read them. */
  tokenize(request: TokenizeRequest): Promise<readonly number[]> {
    const model = this.#control.directory.resolve(request.model)
    return this.#host.call((api) => api.tokenize({ ...request, model }))
  }

  /** What each token alone adds to a text; half of a character is U+FFFD. */
  tokenTexts(model: string, tokens: readonly number[]): Promise<readonly string[]> {
    return this.#host.call((api) => api.tokenTexts(this.#control.directory.resolve(model), tokens))
  }

  /** Forgets the KV that ended requests left behind, so that the next prompts are computed whole. */
  async resetPrefixCache(model: string): Promise<void> {
    await this.#host.call((api) => api.resetPrefixCache(this.#control.directory.resolve(model)))
  }

  /** Deletes what the browser's storage keeps of a model, or everything, saved sessions too. Loaded models go on working. */
  async clearCache(model?: ModelAddress): Promise<void> {
    const address = model === undefined ? undefined : this.models.addressOf(model)
    await this.#host.call((api) => api.clearCache(address))
  }

  /**
   * Asks a model to continue a prompt or answer a conversation. Starts at once; what is wrong with the request rejects the
   * generation. When a worker dies on the way, another goes on where it was. A generation is thenable: an `async` function that returns one waits
   * for the whole answer. With `session`, the id of an open one, `messages` or `prompt` are what is new in it.
   */
  generate({ signal, stickyKey, session, ...options }: GenerateOptions): Generation {
    if (session !== undefined)
      return this.sessions.ask(session, { ...options, ...(signal === undefined ? {} : { signal }) })
    return startGeneration(signal, (listener) =>
      this.#submit({ task: 'generate', ...options }, stickyKey, listener),
    )
  }

  /**
   * Opens a conversation, or a text to continue, whose KV one model keeps: nothing of it is read twice, it can be cloned, and saved for later visits.
   * Rejects with `model_not_loaded`, `bad_request`.
   */
  session(options: SessionOptions): Promise<Session> {
    return this.sessions.open(options)
  }

  /**
   * Named tensors through a graph, once: requests that come together are computed together, where the graph allows it. Outputs are moved here, not copied; inputs
   * only with `transfer: true`. Rejects with `bad_request`, whose `param` and message name the tensor, what is wanted and what came; `queue_full`, `timeout`,
   * `aborted`, `model_not_loaded`, `backend_failed`. When a worker dies another is asked again, but not what was transferred.
   */
  async infer(options: OneShotOptions<InferRequest>): Promise<InferResult> {
    const { outputs = {}, timing, batchSize, isCached, servedBy } = await this.#ask('infer', options)
    return { outputs, timing, batchSize, isCached, servedBy }
  }

  /**
   * One item through a model's handler, which the manifest or the load names: what it takes and gives is its own. Rejects as `infer` does, and with what the
   * handler throws.
   */
  async run<Output = unknown>(options: OneShotOptions<RunRequest>): Promise<RunResult<Output>> {
    const { output, timing, batchSize, isCached, servedBy } = await this.#ask('run', options)
    return { output: output as Output, timing, batchSize, isCached, servedBy }
  }

  /**
   * Loads models and functions that answer together, as one model by the pipeline's name: `run`, aliases, `scale` and `unload` take it as any. All of it runs
   * in one worker, and nothing that nodes hand on visits the page. Throws `bad_request` for what cannot run, a circle for instance, and as loads do.
   */
  async pipeline<Input = unknown, Output = unknown>(
    spec: PipelineSpec,
    options: LoadOptions = {},
  ): Promise<Pipeline<Input, Output>> {
    refuse(unknownOf(options, LOAD_OPTIONS), 'pipeline')
    planPipeline(spec) // what is wrong is said before anything is fetched
    const source = { url: `pipeline:${spec.name}@${spec.version ?? '1'}`, pipeline: withAddresses(spec) }
    const info = await this.#control.load(source, options)
    return pipelineOf<Input, Output>(info, (request) => this.run<Output>(request))
  }

  /** Begins a sequence of chunks, whose state the model carries in its worker. */
  sequence({ model }: { readonly model: string }): SequenceHandle {
    return new SequenceHandle(this, model)
  }

  #ask(
    task: 'infer' | 'run',
    { signal, stickyKey, ...options }: OneShotOptions<InferRequest> | OneShotOptions<RunRequest>,
  ) {
    const request = { task, ...options } as InferRequest | RunRequest // the options are those of the task
    return inferenceOf(signal, (listener) => this.#submit(request, stickyKey, listener))
  }

  /** Has a service worker answer every page of this origin with this client. Throws `backend_failed` where there can be none, `bad_request` where none is registered. */
  serveOrigin(options: OriginServerOptions = {}): Promise<OriginServer> {
    return OriginServer.start(this, options)
  }

  /** The right to ask some models and nothing else, as a port for an iframe or a script that is not trusted. Throws `bad_request`. */
  grant(options: GrantOptions): Grant {
    const { models, maxRequests, ...unknown } = options
    refuse(unknown, 'grant')
    const ports: GrantPorts = {
      control: this.#control,
      submit: (request, stickyKey, listener) => this.#submit(request, stickyKey, listener),
      list: () => this.list(),
    }
    const grant = new Grant(ports, { models, ...(maxRequests === undefined ? {} : { maxRequests }) })
    this.#grants.push(grant)
    return grant
  }

  /** To whoever is to answer, and, where somebody listens, past telemetry. */
  #submit(request: Request, stickyKey: string | undefined, listener: Listener): () => void {
    const submit = (request: Request, listener: Listener) =>
      this.#control.submit(request, stickyKey, listener)
    if (this.#telemetry === undefined) return submit(request, listener)
    return this.#telemetry.submit(request, listener, submit, (name) => this.#handlerOf(name))
  }

  /** The task of a loaded model; of an alias that of its first version. */
  #handlerOf(name: string): string | undefined {
    const [first] = Object.keys(this.#control.aliases().get(name)?.traffic ?? {})
    const { directory } = this.#control
    const info = directory.info(directory.resolve(first ?? name))
    return info?.graph?.handler ?? (info?.manifest.task === 'infer' ? info.manifest.handler : undefined)
  }

  /** Ends the workers and frees everything; running requests end with `engine_lost`. With `share` the engine goes on in another tab, where there is one. */
  dispose(): void {
    this.#stopFollowing()
    this.#hosted.failAll(disposed())
    for (const grant of this.#grants.splice(0)) grant.revoke()
    this.#telemetry?.dispose()
    this.#host.dispose()
    this.#control.lost()
  }

  /** The same as `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose()
  }

  #followPage(options: HiddenOptions): void {
    const policy = new HiddenPolicy(options, {
      clock: systemClock,
      health: () => this.health(),
      sleep: (model, how) => this.sleep(model, how),
      wake: (model) => this.wake(model),
    })
    const stopWatching = watchPage({ document, window }, (state) => policy.take(state))
    this.#stopFollowing = () => {
      stopWatching()
      policy.stop()
    }
  }
}

function bound<Name extends keyof Tasks>(tasks: Tasks, name: Name): Tasks[Name] {
  return tasks[name].bind(tasks) as Tasks[Name] // `bind` forgets overloads
}

/** Chromium tells, rounded and at most 8 GiB. */
function halfOfMemory(): number {
  const { deviceMemory } = navigator as { readonly deviceMemory?: number }
  return deviceMemory === undefined ? Infinity : deviceMemory * 2 ** 29
}
