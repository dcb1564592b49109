import type {
  DeviceReport,
  Request,
  Health,
  HeldModel,
  LoadRequest,
  ModelHealth,
  ModelInfo,
  ModelStats,
  Scaling,
  TokenizeRequest,
} from '@tabserve/protocol'
import { EngineError, findModel } from '@tabserve/protocol'
import { modelBytes } from '../control/memory-budget.ts'
import { memoryShare } from './memory-share.ts'
import { ReplicaSet } from './replica-set.ts'
import { checkReplicas } from './resolve-scaling.ts'
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
  readonly #aborts = new Map<string, AbortController>()
  /** A worker that holds no model: the next replica takes it, and what is about storage goes through it. */
  #spare: Promise<WorkerLink> | undefined
  #isDisposed = false

  /** Starts a worker. Throws `engine_lost` when its script cannot be run. */
  static async create({ memoryBudgetBytes, ...options }: HubOptions): Promise<Hub> {
    return new Hub(options, memoryBudgetBytes, await startWorker(options, 1))
  }

  private constructor(options: WorkerLinkOptions, memoryBudgetBytes: number, spare: WorkerLink) {
    this.#options = options
    this.#memoryBudgetBytes = memoryBudgetBytes
    this.#spare = Promise.resolve(spare)
    this.device = spare.device
  }

  /** What is loaded, for the tab that takes over. */
  held(): readonly HeldModel[] {
    return [...this.#models.values()].map(({ info, request, scaling }) => ({ info, request, scaling }))
  }

  /** Takes up what another tab held; the models load in the background, and requests for them wait. */
  restore(held: readonly HeldModel[]): void {
    for (const { info, request, scaling } of held) {
      const set = this.#setOf({ ...request, refresh: false }, scaling)
      this.#models.set(info.id, set)
      set.restore(info)
    }
  }

  /**
   * Loads a model. One of the same name and version goes on until the new one is ready, and then ends what it has begun.
   * @param port where the load tells of itself.
   */
  async load(request: LoadRequest, scaling: Scaling, port: MessagePort): Promise<ModelInfo> {
    const set = this.#setOf(request, scaling)
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
    const { link } = await set.anyWorker()
    return link.call((api) => api.tokenize({ ...request, model: set.info.id }))
  }

  /** Throws `model_not_loaded`, `bad_request`. */
  async tokenTexts(model: string, tokens: readonly number[]): Promise<readonly string[]> {
    const set = this.#find(model)
    const { link } = await set.anyWorker()
    return link.call((api) => api.tokenTexts(set.info.id, tokens))
  }

  /** Throws `model_not_loaded`. */
  async resetPrefixCache(model: string): Promise<void> {
    await this.#find(model).resetPrefixCache()
  }

  health(): Health {
    const models = [...this.#models.values()].map((set) => set.health())
    return { live: !this.#isDisposed, ready: !this.#isDisposed && models.every(({ ready }) => ready), models }
  }

  /** Has a request answered; see `HubApi.submit`. @param id unique among all requests of this hub. */
  async submit(request: Request, port: MessagePort, id: string, isCancelled: boolean): Promise<void> {
    const abort = new AbortController()
    if (isCancelled) abort.abort()
    this.#aborts.set(id, abort)
    try {
      await this.#find(request.model).submit(request, port, id, abort.signal)
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

  /** A worker for what is about no model in particular. */
  async worker(): Promise<WorkerLink> {
    if (this.#isDisposed) throw disposed()
    const spare = await this.#spare
    if (spare?.link.alive === true) return spare
    for (const { worker } of this.#models.values()) if (worker !== undefined) return worker
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
  }

  #setOf(request: LoadRequest, scaling: Scaling): ReplicaSet {
    return new ReplicaSet({
      request,
      scaling,
      startWorker: (numReplicas) => this.#startWorker(numReplicas),
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
  async #startWorker(numReplicas: number): Promise<WorkerLink> {
    if (this.#isDisposed) throw disposed()
    const spare = this.#spare
    this.#spare = undefined
    const idle = await spare
    if (idle?.link.alive === true) {
      if (idle.device.threads === threadsOf(this.#options, idle.device, numReplicas)) return idle
      idle.terminate('it has not the right number of threads')
    }
    return startWorker(this.#options, numReplicas)
  }

  /** One idle worker stays: the next load then needs no script, which a page that is offline by now could not get. */
  #keep(worker: WorkerLink): void {
    if (this.#spare === undefined && !this.#isDisposed) this.#spare = Promise.resolve(worker)
    else worker.terminate('nothing is left for it to do')
  }

  #startSpare(): Promise<WorkerLink> {
    return startWorker(this.#options, 1).catch((error: unknown) => {
      this.#spare = undefined // the next call tries again
      throw error
    })
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
