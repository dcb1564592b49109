import type {
  FixedScaling,
  GenerateRequest,
  LoadRequest,
  ModelHealth,
  ModelInfo,
  ModelStats,
  SplitChoice,
} from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { modelHealth } from './model-health.ts'
import { beginningsOf } from './prefix-homes.ts'
import type { Replica } from './replica.ts'
import { ReplicaPool } from './replica-pool.ts'
import { ReplicaQueue } from './replica-queue.ts'
import { withoutWait } from './request-deadline.ts'
import { refuseReplicasOnGpu } from './resolve-scaling.ts'
import { Scaler } from './scaler.ts'
import { emptyStats, sumStats } from './sum-stats.ts'
import type { WorkerLink } from './worker-link.ts'

export interface ReplicaSetOptions {
  readonly request: LoadRequest
  readonly scaling: FixedScaling
  /** Why it has so many replicas, where the load left that open; their threads are its. */
  readonly split: SplitChoice | undefined
  /** Starts a worker for one of this many replicas. @param threads where not as many as that number leaves each. */
  readonly startWorker: (numReplicas: number, threads: number | undefined) => Promise<WorkerLink>
  /** How many of so many replicas that the load asks for memory has room for. */
  readonly fit: (set: ReplicaSet, replicas: number) => number
}

/** One model: its replicas, how many there are to be, and who waits for one. */
export class ReplicaSet {
  readonly #options: ReplicaSetOptions
  readonly #scaler: Scaler
  readonly #pool: ReplicaPool
  readonly #queue: ReplicaQueue
  #info: ModelInfo | undefined
  /** Why nothing more is answered. */
  #end: EngineError | undefined

  /** Throws `bad_request`. */
  constructor(options: ReplicaSetOptions) {
    this.#options = options
    const { request, split } = options
    this.#pool = new ReplicaPool({
      request,
      startWorker: (numReplicas) => options.startWorker(numReplicas, split?.threads),
      onLoaded: (info) => (this.#info = info),
    })
    this.#queue = new ReplicaQueue(this.#pool.changes)
    this.#scaler = new Scaler(options.scaling, {
      load: () => this.#load(),
      scale: (wanted) => this.#pool.want(wanted),
      fit: (replicas) => options.fit(this, replicas),
    })
    const { device, runner } = request
    if (device === 'webgpu' || runner === 'webgpu') refuseReplicasOnGpu(this.#scaler.most)
  }

  get request(): LoadRequest {
    return this.#options.request
  }

  /** As it was asked for last. */
  get scaling(): FixedScaling {
    return this.#scaler.scaling
  }

  /** How many replicas there are to be. */
  get wanted(): number {
    return this.#pool.wanted
  }

  /** Throws where it was never loaded. */
  get info(): ModelInfo {
    if (this.#info === undefined) throw new Error('a model was asked about before it was loaded')
    const { split } = this.#options
    return split === undefined ? this.#info : { ...this.#info, split }
  }

  /** As it runs now: a GPU that was lost for good has left it to the CPU. */
  async current(): Promise<ModelInfo> {
    const { info, worker } = this
    if (info.choice.device !== 'webgpu' || worker === undefined) return info
    try {
      this.#info = await worker.link.call((api) => api.describe(info.id))
    } catch (error) {
      // Its worker died or let the model go meanwhile: what it said last counts.
      if (!(error instanceof EngineError)) throw error
    }
    return this.info
  }

  /** The worker of a replica that answers. */
  get worker(): WorkerLink | undefined {
    return this.#pool.ready[0]?.worker
  }

  /** Loads the first replica, and then those that are there from the start. @param port where the load tells of itself. */
  async load(port: MessagePort): Promise<ModelInfo> {
    const { awake } = this.#scaler
    try {
      this.#info = await this.#pool.startFirst(awake, port)
    } catch (error) {
      this.dispose('its model could not be loaded')
      throw error
    }
    // The others find the weights in the store.
    if (awake > 1) await this.#pool.reach(awake)
    this.#scaler.start(this.#info.maxRunning)
    return this.info
  }

  /** Takes up a model that another tab had loaded, known by what it said of itself. Loads in the background. */
  restore(info: ModelInfo): void {
    this.#info = info
    this.#pool.want(this.#scaler.awake)
    this.#scaler.start(info.maxRunning)
  }

  /** Resolves when as many replicas are there as wanted and no others. Throws what keeps a replica from starting. */
  async scale(wanted: number): Promise<ModelHealth> {
    if (this.info.choice.device === 'webgpu') {
      const { choice } = await this.current()
      if (choice.device === 'webgpu') refuseReplicasOnGpu(wanted)
    }
    this.#scaler.pin(wanted)
    await this.#pool.reach(wanted)
    return this.health()
  }

  /** Resolves when the request's last word is said. Throws `engine_lost` when its worker died before, `aborted` when the signal fired while it waited. */
  async submit(request: GenerateRequest, port: MessagePort, id: string, signal: AbortSignal): Promise<void> {
    const submitted = performance.now()
    const beginnings = beginningsOf(request)
    // At once where one is ready: the next request of this moment must see the queue that this one makes.
    const replica = this.#pool.pick(beginnings) ?? (await this.#awaitReplica(request, beginnings, signal))
    const cancel = () => void replica.cancel(id).catch(() => {}) // a worker that is gone computes nothing
    signal.addEventListener('abort', cancel)
    try {
      this.#scaler.look()
      const left = withoutWait(request, performance.now() - submitted)
      await replica.run({ ...left, model: this.info.id }, port, id, signal.aborted)
    } finally {
      signal.removeEventListener('abort', cancel)
      this.#scaler.look()
    }
  }

  /** One of its workers; wakes one where there is none. Throws as `submit` does. */
  async anyWorker(): Promise<WorkerLink> {
    const replica = this.#pool.pick([]) ?? (await this.#awaitReplica({}, [], new AbortController().signal))
    if (replica.worker === undefined) throw new Error('a replica that is ready has no worker')
    return replica.worker
  }

  async stats(): Promise<ModelStats> {
    const all = await Promise.all(this.#pool.all.map((replica) => replica.stats(this.info.id)))
    return all.filter((stats) => stats !== undefined).reduce(sumStats, emptyStats())
  }

  async resetPrefixCache(): Promise<void> {
    await Promise.all(
      this.#pool.all.map(({ worker }) => worker?.link.call((api) => api.resetPrefixCache(this.info.id))),
    )
  }

  health(): ModelHealth {
    const { all: replicas, wanted, problem } = this.#pool
    return modelHealth({ info: this.info, replicas, wanted, waiting: this.#queue.length, problem })
  }

  /** Lets every request that is running end, and takes no more. */
  async retire(): Promise<void> {
    // Those that wait are told to ask for the model again, which is another by now.
    this.#end = new EngineError('engine_lost', `${this.info.id} was replaced.`)
    this.#scaler.stop()
    this.#pool.want(0)
    await this.#pool.changes.until(() => this.#pool.all.length === 0)
    this.dispose('its model was replaced')
  }

  /** Ends every request that is running with `engine_lost`, as its last word. Gives the workers, which hold nothing then. */
  async unload(): Promise<WorkerLink[]> {
    this.#end = new EngineError('model_not_loaded', `${this.info.id} was unloaded while the request waited.`)
    this.#scaler.stop()
    const unloading = this.#pool.all.map((replica) => replica.unload(this.info.id).catch(ignoreDeath))
    const workers = await Promise.all(unloading)
    this.#pool.changed()
    return workers.filter((worker) => worker !== undefined)
  }

  /** Ends every worker at once. */
  dispose(reason: string): void {
    this.#end ??= new EngineError('engine_lost', `The engine is gone: ${reason}.`)
    this.#scaler.stop()
    this.#pool.dispose(reason)
  }

  /** Waits until a replica is ready, and wakes one where none is to be. */
  #awaitReplica(
    request: Pick<GenerateRequest, 'queueTimeoutMs' | 'timeoutMs'>,
    beginnings: readonly string[],
    signal: AbortSignal,
  ): Promise<Replica> {
    if (this.#pool.wanted === 0) this.#pool.forgive() // what is over may be tried again
    return this.#queue.wait(request, signal, () => {
      const replica = this.#pool.pick(beginnings)
      if (replica === undefined) this.#wakeOrRefuse()
      return replica
    })
  }

  /** None is ready: wakes one where none is to be. Throws where none will ever be. */
  #wakeOrRefuse(): void {
    if (this.#end !== undefined) throw this.#end
    const { all, problem } = this.#pool
    if (all.some(({ state }) => state === 'starting' || state === 'restarting')) return
    const cause = all.find(({ state }) => state === 'failed')?.problem ?? problem
    if (cause === undefined) return this.#pool.want(this.#scaler.awake)
    throw new EngineError(cause.code, `No worker can hold ${this.info.id}: ${cause.message}`, { cause })
  }

  #load(): { queued: number; running: number; replicas: number } {
    const most = this.#info?.maxRunning ?? 1
    const counts = this.#pool.all.map(({ numRequests }) => numRequests)
    const running = counts.reduce((sum, count) => sum + Math.min(count, most), 0)
    const queued = counts.reduce((sum, count) => sum + Math.max(0, count - most), this.#queue.length)
    return { queued, running, replicas: this.#pool.wanted }
  }
}

/** A worker that died holds nothing any more. */
function ignoreDeath(error: unknown): undefined {
  if (!(error instanceof EngineError && error.code === 'engine_lost')) throw error
  return undefined
}
