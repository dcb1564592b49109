import type {
  DeviceReport,
  FixedScaling,
  Request,
  Health,
  HeldModel,
  LoadRequest,
  ModelHealth,
  ModelInfo,
  ModelStats,
  RestoreSessionRequest,
  RestoredSession,
  SaveSessionRequest,
  SavedSession,
  ObserveOptions,
  Scaling,
  SplitChoice,
  SleepOptions,
  SubmitEnd,
  TokenizeRequest,
} from '@tabserve/protocol'
import { EngineError, findModel } from '@tabserve/protocol'
import { heldOf, modelBytes } from '../control/memory-budget.ts'
import { askAgain } from './ask-again.ts'
import { memoryShare } from './memory-share.ts'
import { Observers } from './observers.ts'
import { sessionBeginning } from './prefix-homes.ts'
import { ReplicaSet } from './replica-set.ts'
import { checkReplicas, resolveScaling } from './resolve-scaling.ts'
import { KeptVerdicts } from './split/kept-verdicts.ts'
import { SplitChooser } from './split/split-chooser.ts'
import { meterSplit } from './split/split-meter.ts'
import { threadsPerReplica } from './threads.ts'
import type { WorkerLinkOptions } from './worker-link.ts'
import { WorkerLink } from './worker-link.ts'

export interface HubOptions extends WorkerLinkOptions {
  /** Most bytes of all replicas together that the load alone brings about. */
  readonly memoryBudgetBytes: number
}

/** Holds the workers of one tab: the replicas of each loaded model, and which of them gets what. */
export class Hub {
  readonly device: DeviceReport
  readonly #options: WorkerLinkOptions
  readonly #memoryBudgetBytes: number
  readonly #models = new Map<string, ReplicaSet>()
  readonly #observers = new Observers()
  readonly #aborts = new Map<string, AbortController>()
  readonly #splits: SplitChooser
  /** A worker that holds no model: the next replica takes it, and what is about storage goes through it. */
  #spare: Promise<WorkerLink> | undefined
  /** The worker that was started last, for whatever. */
  #newest: Promise<WorkerLink> | undefined
  #isDisposed = false

  /** Starts a worker. Throws `engine_lost` when its script cannot be run. */
  static async create({ memoryBudgetBytes, ...options }: HubOptions): Promise<Hub> {
    const spare = await startWorker(options, 1)
    const hub = new Hub(options, memoryBudgetBytes, spare)
    hub.#observers.watch(spare)
    return hub
  }

  private constructor(options: WorkerLinkOptions, memoryBudgetBytes: number, spare: WorkerLink) {
    this.#options = options
    this.#memoryBudgetBytes = memoryBudgetBytes
    this.#spare = Promise.resolve(spare)
    this.device = spare.device
    const { cores, crossOriginIsolated } = spare.device
    this.#splits = new SplitChooser({
      machine: { cores, crossOriginIsolated, threads: options.threads },
      userAgent: navigator.userAgent,
      verdicts: new KeptVerdicts(() => localStorage),
      meter: (request, split, port) =>
        meterSplit(request, split, (threads) => WorkerLink.start({ ...options, threads }), port),
      roomBytes: () => this.held().reduce((room, held) => room - heldOf(held).bytes, memoryBudgetBytes),
    })
  }

  /** What is loaded: for the tab that takes over, and for memory budgets. */
  held(): readonly HeldModel[] {
    return [...this.#models.values()].map(({ info, request, scaling, sleeping }) => ({
      info,
      request,
      scaling,
      ...(sleeping === undefined ? {} : { sleep: sleeping }),
    }))
  }

  /** Takes up what another tab held; the models that are awake load in the background, and requests for them wait. */
  restore(held: readonly HeldModel[]): void {
    for (const { info, request, scaling, sleep } of held) {
      const set = this.#setOf({ ...request, refresh: false }, scaling, info.split)
      this.#models.set(info.id, set)
      set.restore(info, sleep)
    }
  }

  /**
   * Loads a model. One of the same name and version goes on until the new one is ready, and then ends what it has begun.
   * @param port where the load tells of itself.
   */
  async load(request: LoadRequest, scaling: Scaling, port: MessagePort): Promise<ModelInfo> {
    const { replicas, ...rest } = scaling
    if (replicas === 'auto') return this.#loadSplit(request, rest, port)
    const wanted = replicas === undefined ? rest : { ...rest, replicas }
    return this.#load(this.#setOf(request, wanted, undefined), port)
  }

  async #loadSplit(request: LoadRequest, scaling: FixedScaling, port: MessagePort): Promise<ModelInfo> {
    resolveScaling(scaling) // before anything is measured
    const { choice, report } = await this.#splits.choose(request, port)
    const again = report === undefined ? request : { ...request, refresh: false }
    const set = this.#setOf(again, { ...scaling, replicas: choice.replicas }, choice)
    const info = await this.#load(set, report === undefined ? port : new MessageChannel().port2)
    return report === undefined ? info : { ...info, load: report }
  }

  async #load(set: ReplicaSet, port: MessagePort): Promise<ModelInfo> {
    const info = await set.load(port)
    if (this.#isDisposed) set.dispose('the client was disposed of')
    const replaced = this.#models.get(info.id)
    this.#models.set(info.id, set)
    void replaced?.retire()
    return info
  }

  /** Throws `model_not_loaded`. */
  async unload(model: string): Promise<void> {
    const set = this.#find(model)
    this.#models.delete(set.info.id)
    for (const worker of await set.unload()) this.#keep(worker)
  }

  /** Throws `model_not_loaded`, `bad_request`, or what keeps a replica from starting. */
  async scale(model: string, replicas: number): Promise<ModelHealth> {
    checkReplicas('replicas', replicas, 0)
    return this.#find(model).scale(replicas)
  }

  /** Throws `model_not_loaded`, `bad_request`. */
  async sleep(model: string, options: SleepOptions): Promise<ModelHealth> {
    return this.#find(model).sleep(options)
  }

  /** Throws `model_not_loaded`, or what keeps a replica from starting. */
  async wake(model: string): Promise<ModelHealth> {
    return this.#find(model).wake()
  }

  list(): Promise<readonly ModelInfo[]> {
    return Promise.all([...this.#models.values()].map((set) => set.current()))
  }

  /** Throws `model_not_loaded`. */
  async describe(model: string): Promise<ModelInfo> {
    return this.#find(model).current()
  }

  /** `name@version`. Throws `model_not_loaded`. */
  idOf(model: string): string {
    return this.#find(model).info.id
  }

  /** Of all replicas together. Throws `model_not_loaded`. */
  async stats(model: string): Promise<ModelStats> {
    return this.#find(model).stats()
  }

  /** Throws `model_not_loaded`, `bad_request`. */
  async tokenize(request: TokenizeRequest): Promise<readonly number[]> {
    const set = this.#find(request.model)
    return askAgain(
      () => set.anyWorker(),
      (api) => api.tokenize({ ...request, model: set.info.id }),
    )
  }

  /** Throws `model_not_loaded`, `bad_request`. */
  async tokenTexts(model: string, tokens: readonly number[]): Promise<readonly string[]> {
    const set = this.#find(model)
    return askAgain(
      () => set.anyWorker(),
      (api) => api.tokenTexts(set.info.id, tokens),
    )
  }

  /** Throws `model_not_loaded`. */
  async resetPrefixCache(model: string): Promise<void> {
    await this.#find(model).resetPrefixCache()
  }

  /** In the worker that has its KV, if one has. Throws as `EngineApi.saveSession` answers. */
  async saveSession(request: SaveSessionRequest): Promise<SavedSession> {
    const { info, link } = await this.#workerOf(request.model, [sessionBeginning(request.session)])
    return link.call((api) => api.saveSession({ ...request, model: info.id }))
  }

  /** Into one worker, which gets what the session asks from then on. Throws as `EngineApi.restoreSession` answers. */
  async restoreSession(request: RestoreSessionRequest): Promise<RestoredSession> {
    const set = this.#find(request.model)
    return askAgain(
      () => set.anyWorker([sessionBeginning(request.session)]),
      (api) => api.restoreSession({ ...request, model: set.info.id }),
    )
  }

  /** Throws `model_not_loaded`. */
  async shareSession(model: string, from: string, to: string): Promise<void> {
    const { info, link } = await this.#workerOf(model, [sessionBeginning(to), sessionBeginning(from)])
    await link.call((api) => api.shareSession(info.id, from, to))
  }

  /** Throws `model_not_loaded`. */
  async releaseSession(model: string, session: string): Promise<void> {
    await this.#find(model).releaseSession(session)
  }

  health(): Health {
    const models = [...this.#models.values()].map((set) => set.health())
    return { live: !this.#isDisposed, ready: !this.#isDisposed && models.every(({ ready }) => ready), models }
  }

  /** Has a request answered; see `HubApi.submit`. @param id unique among all requests of this hub. */
  async submit(request: Request, port: MessagePort, id: string, isCancelled: boolean): Promise<SubmitEnd> {
    const abort = new AbortController()
    if (isCancelled) abort.abort()
    this.#aborts.set(id, abort)
    try {
      return await this.#find(request.model).submit(request, port, id, abort.signal)
    } finally {
      this.#aborts.delete(id)
    }
  }

  cancel(id: string): void {
    this.#aborts.get(id)?.abort()
  }

  /** Ends the requests whose id begins so. */
  cancelAll(prefix: string): void {
    for (const [id, abort] of this.#aborts) if (id.startsWith(prefix)) abort.abort()
  }

  /** Tells what happens here and in the workers, until nothing more will. */
  async observe(port: MessagePort, options: ObserveOptions): Promise<void> {
    this.#observers.add(port, options)
    await this.#observers.closed
  }

  /** A worker for what is about no model in particular. */
  async worker(): Promise<WorkerLink> {
    if (this.#isDisposed) throw disposed()
    const spare = await this.#spare
    if (spare?.link.alive === true) return spare
    for (const { worker } of this.#models.values()) if (worker !== undefined) return worker
    // That of a model may be on its way, in place of one that died.
    const starting = this.#newest
    const newest = await starting?.catch(() => undefined)
    if (newest?.link.alive === true) return newest
    if (this.#newest !== starting) return this.worker() // somebody else has seen to it
    this.#spare = this.#startSpare()
    return this.#spare
  }

  /** Ends every worker; running requests end with `engine_lost`. */
  dispose(): void {
    if (this.#isDisposed) return
    this.#isDisposed = true
    for (const set of this.#models.values()) set.dispose('the client was disposed of')
    void this.#spare?.then(
      (spare) => spare.terminate('the client was disposed of'),
      () => {},
    ) // never started
    this.#observers.close()
  }

  #setOf(request: LoadRequest, scaling: FixedScaling, split: SplitChoice | undefined): ReplicaSet {
    return new ReplicaSet({
      request,
      scaling,
      split,
      startWorker: (numReplicas, threads) => this.#startWorker(numReplicas, threads),
      tell: (event) => this.#observers.tell(event),
      fit: (set, replicas) => this.#fit(set, replicas),
    })
  }

  #fit(set: ReplicaSet, replicas: number): number {
    const demands = [...this.#models.values()].map((other) => ({
      model: other.info.id,
      desired: other === set ? replicas : other.wanted,
      replicas: other.wanted,
      replicaBytes: modelBytes(other.info),
    }))
    return Math.min(replicas, memoryShare(set.info.id, demands, this.#memoryBudgetBytes))
  }

  /** The spare worker where it has the right number of threads, else a new one. */
  async #startWorker(numReplicas: number, threads?: number): Promise<WorkerLink> {
    if (this.#isDisposed) throw disposed()
    const spare = this.#spare
    this.#spare = undefined
    const idle = await spare
    const options = threads === undefined ? this.#options : { ...this.#options, threads }
    if (idle?.link.alive === true) {
      if (idle.device.threads === threadsOf(options, idle.device, numReplicas)) return idle
      idle.terminate('it has not the right number of threads')
    }
    return this.#newWorker(numReplicas, options)
  }

  /** One idle worker stays: the next load then needs no script, which a page that is offline by now could not get. */
  #keep(worker: WorkerLink): void {
    if (this.#spare === undefined && !this.#isDisposed) this.#spare = Promise.resolve(worker)
    else worker.terminate('nothing is left for it to do')
  }

  #startSpare(): Promise<WorkerLink> {
    return this.#newWorker(1).catch((error: unknown) => {
      this.#spare = undefined // the next call tries again
      throw error
    })
  }

  async #workerOf(model: string, beginnings: readonly string[]) {
    const set = this.#find(model)
    const { link } = await set.anyWorker(beginnings)
    return { info: set.info, link }
  }

  async #newWorker(numReplicas: number, options = this.#options): Promise<WorkerLink> {
    this.#newest = startWorker(options, numReplicas)
    const worker = await this.#newest
    this.#observers.watch(worker)
    return worker
  }

  #find(id: string): ReplicaSet {
    if (this.#isDisposed) throw disposed()
    return findModel(this.#models, id)
  }
}

function startWorker(options: WorkerLinkOptions, numReplicas: number): Promise<WorkerLink> {
  const threads = options.threads ?? threadsPerReplica(navigator.hardwareConcurrency, numReplicas)
  return WorkerLink.start({ ...options, threads })
}

function threadsOf({ threads }: WorkerLinkOptions, device: DeviceReport, numReplicas: number): number {
  if (!device.crossOriginIsolated) return 1
  return threads ?? threadsPerReplica(navigator.hardwareConcurrency, numReplicas)
}

function disposed(): EngineError {
  return new EngineError('engine_lost', 'The client was disposed of. Create another one.')
}
