import type {
  FixedScaling,
  LoadRequest,
  ModelHealth,
  ModelInfo,
  ModelStats,
  Request,
  SleepOptions,
  SplitChoice,
  SubmitEnd,
} from '@tabserve/protocol'
import { EngineError, resolveSleep } from '@tabserve/protocol'
import { modelHealth } from './model-health.ts'
import type { HubEvent } from './observers.ts'
import { beginningsOf } from './prefix-homes.ts'
import type { Replica } from './replica.ts'
import { ReplicaPool } from './replica-pool.ts'
import { ReplicaQueue } from './replica-queue.ts'
import { withoutWait } from './request-deadline.ts'
import { refuseReplicasOnGpu } from './resolve-scaling.ts'
import { Scaler } from './scaler.ts'
import { countersOf, emptyStats, sumStats } from './sum-stats.ts'
import type { WorkerLink } from './worker-link.ts'

export interface ReplicaSetOptions {
  readonly request: LoadRequest
  readonly scaling: FixedScaling
  /** Why it has so many replicas, where the load left that open; their threads are its. */
  readonly split: SplitChoice | undefined
  /** Starts a worker for one of this many replicas. @param threads where not as many as that number leaves each. */
  readonly startWorker: (numReplicas: number, threads: number | undefined) => Promise<WorkerLink>
  readonly tell: (event: HubEvent) => void
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
  /** Put to sleep, or on the way there: no request reaches a replica. */
  #sleep: ModelHealth['sleep']
  /** Counters of what was given back in sleep. */
  #past = emptyStats()
  /** What came of the choice of the device, for replicas. */
  #note: string | undefined
  /** Why nothing more is answered. */
  #end: EngineError | undefined

  /** Throws `bad_request`. */
  constructor(options: ReplicaSetOptions) {
    this.#options = options
    const { request, split } = options
    this.#pool = new ReplicaPool({
      request,
      startWorker: (numReplicas) => options.startWorker(numReplicas, split?.threads),
      onRestart: (restarts) => options.tell({ type: 'worker-restart', url: request.url, restarts }),
      onLoaded: (info) => (this.#info = this.#withNote(info)),
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

  /** How it sleeps; `undefined` while it is awake. */
  get sleeping(): SleepOptions | undefined {
    return this.#sleep
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
    const { info } = this
    if (this.#sleep !== undefined) return { ...info, sleepLevel: this.#sleep.level }
    const worker = this.#pool.ready[0]?.worker
    if (info.choice.device !== 'webgpu' || worker === undefined) return info
    try {
      this.#info = this.#withNote(await worker.link.call((api) => api.describe(info.id)))
    } catch (error) {
      // Its worker died or let the model go meanwhile: what it said last counts.
      if (!(error instanceof EngineError)) throw error
    }
    return this.info
  }

  /** The worker of one of its replicas. */
  get worker(): WorkerLink | undefined {
    return this.#pool.all.find(({ worker }) => worker !== undefined)?.worker
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
    this.#keepOneOnGpu()
    // The others find the weights in the store.
    if (this.#scaler.awake > 1) await this.#pool.reach(this.#scaler.awake)
    this.#scaler.start(this.info.maxRunning)
    return this.info
  }

  /** Takes up a model that another tab had loaded, known by what it said of itself. Loads in the background. */
  restore(info: ModelInfo, sleep: SleepOptions | undefined): void {
    this.#info = info
    if (sleep !== undefined) {
      // No worker holds anything of it here.
      this.#sleep = { level: 2, arriving: resolveSleep(sleep).arriving }
      return
    }
    this.#pool.want(this.#scaler.awake)
    this.#scaler.start(info.maxRunning)
  }

  /** Resolves when as many replicas are there as wanted and no others. Throws what keeps a replica from starting. */
  async scale(wanted: number): Promise<ModelHealth> {
    if (this.#sleep !== undefined)
      throw new EngineError('model_asleep', `${this.info.id} sleeps: wake it first.`)
    if (this.info.choice.device === 'webgpu') {
      const { choice } = await this.current()
      if (choice.device === 'webgpu') refuseReplicasOnGpu(wanted)
    }
    this.#scaler.pin(wanted)
    await this.#pool.reach(wanted)
    return this.health()
  }

  /**
   * Lets no request near a replica any more, has those that run end or wait, and gives back what the level says. One that sleeps deeper goes on doing so.
   * Resolves early when somebody wakes it. Throws `bad_request`.
   */
  async sleep(options: SleepOptions): Promise<ModelHealth> {
    const { level, running, arriving } = resolveSleep(options)
    const deeper = this.#sleep?.level ?? 0
    const sleep = (this.#sleep = { level: deeper > level ? deeper : level, arriving })
    this.#scaler.stop()
    this.#pool.rest()
    if (running !== 'wait') for (const replica of this.#pool.all) replica.endRequests(running)
    await this.#pool.changes.until(
      () => this.#sleep !== sleep || this.#pool.all.every(({ numRequests }) => numRequests === 0),
    )
    if (this.#sleep === sleep) await this.#giveBack(sleep)
    return this.health()
  }

  /** Resolves once it answers requests; also of one that has no replica because nobody asked for it. Throws what keeps it from being made. */
  async wake(): Promise<ModelHealth> {
    this.#sleep = undefined
    const wanted = Math.max(this.#scaler.awake, this.#pool.wanted)
    for (const replica of this.#pool.all) void replica.wake(this.info.id)
    await this.#pool.reach(wanted)
    this.#scaler.start(this.info.maxRunning)
    return this.health()
  }

  /** Resolves when the request's last word is said, or with `again` where it was put off. Throws `engine_lost` when its worker died before, `aborted` when the signal fired while it waited. */
  async submit(request: Request, port: MessagePort, id: string, signal: AbortSignal): Promise<SubmitEnd> {
    const submitted = performance.now()
    const beginnings = beginningsOf(request)
    // At once where one is ready: the next request of this moment must see the queue that this one makes.
    const replica =
      this.#pool.pick(beginnings, isBound(request)) ?? (await this.#awaitReplica(request, beginnings, signal))
    const cancel = () => void replica.cancel(id).catch(() => {}) // a worker that is gone computes nothing
    signal.addEventListener('abort', cancel)
    try {
      this.#scaler.look()
      const left = withoutWait(request, performance.now() - submitted)
      return await replica.run({ ...left, model: this.info.id }, port, id, signal.aborted)
    } finally {
      signal.removeEventListener('abort', cancel)
      this.#scaler.look()
    }
  }

  /** One of its workers, the one that knows the last of these beginnings if there is one; wakes one where there is none. Throws as `submit` does. */
  async anyWorker(beginnings: readonly string[] = []): Promise<WorkerLink> {
    const holder = this.#pool.find(beginnings)?.holder
    if (holder !== undefined) return holder
    const replica = await this.#awaitReplica({}, beginnings, new AbortController().signal)
    if (replica.worker === undefined) throw new Error('a replica that is ready has no worker')
    return replica.worker
  }

  async stats(): Promise<ModelStats> {
    const stats = await this.#liveStats(this.#past)
    return this.#sleep === undefined ? stats : { ...stats, sleepLevel: this.#sleep.level }
  }

  async resetPrefixCache(): Promise<void> {
    await Promise.all(
      this.#pool.all.map(({ holder }) => holder?.link.call((api) => api.resetPrefixCache(this.info.id))),
    )
  }

  /** Of all replicas: a session may have kept KV in several. */
  async releaseSession(session: string): Promise<void> {
    await Promise.all(
      this.#pool.all.map(({ holder }) =>
        holder?.link.call((api) => api.releaseSession(this.info.id, session)).catch(ignoreDeath),
      ),
    )
  }

  health(): ModelHealth {
    const { all: replicas, wanted, problem } = this.#pool
    const [info, sleep, waiting] = [this.info, this.#sleep, this.#queue.length]
    return modelHealth({ info, replicas, wanted, waiting, sleep, problem })
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

  /** One GPU would compute for all replicas, and hold the weights once for each: where `auto` has chosen it there is one. */
  #keepOneOnGpu(): void {
    const { most } = this.#scaler
    if (this.info.choice.device !== 'webgpu' || most === 1) return
    this.#scaler.limit(1)
    this.#note = `one replica, not up to ${most}: they would share the GPU; device: 'wasm' has more`
    this.#info = this.#withNote(this.info)
  }

  /** The choice of the device says what else came of it. */
  #withNote(info: ModelInfo): ModelInfo {
    if (this.#note === undefined) return info
    const { choice } = info
    return { ...info, choice: { ...choice, reason: `${choice.reason}; ${this.#note}` } }
  }

  /** Of a model that is at rest. */
  async #giveBack(sleep: NonNullable<ModelHealth['sleep']>): Promise<void> {
    const { level } = sleep
    if (level === 0) return
    const stats = await this.#liveStats(this.#past)
    // Woken meanwhile, and perhaps put to sleep again, with requests of its own: then nothing is given back.
    if (this.#sleep !== sleep) return
    this.#past = countersOf(stats)
    if (level === 2) return this.#pool.want(0)
    await Promise.all(this.#pool.all.map((replica) => replica.empty(this.info.id).catch(ignoreDeath)))
  }

  /** @param base what is added to. */
  async #liveStats(base: ModelStats): Promise<ModelStats> {
    const asked = this.#pool.all.map((replica) => replica.stats(this.info.id)?.catch(ignoreDeath))
    const all = await Promise.all(asked)
    return all.filter((stats) => stats !== undefined).reduce(sumStats, base)
  }

  /** Waits until a replica is ready, and wakes one where none is to be. */
  #awaitReplica(request: Waiting, beginnings: readonly string[], signal: AbortSignal): Promise<Replica> {
    if (this.#pool.wanted === 0) this.#pool.forgive() // what is over may be tried again
    return this.#queue.wait(request, signal, () => {
      const replica = this.#pool.pick(beginnings)
      if (replica === undefined) this.#wakeOrRefuse(request.resume !== undefined)
      return replica
    })
  }

  /** None is ready: wakes one where none is to be. Throws where none will ever be. @param wasIn it was let in before, and put off: it waits like one that runs. */
  #wakeOrRefuse(wasIn: boolean): void {
    if (this.#end !== undefined) throw this.#end
    if (this.#sleep !== undefined) return this.#wakeFromSleep(this.#sleep.arriving, wasIn)
    const { all, problem } = this.#pool
    if (all.some(({ state }) => state === 'starting' || state === 'restarting')) return
    const cause = all.find(({ state }) => state === 'failed')?.problem ?? problem
    if (cause === undefined) return this.#pool.want(this.#scaler.awake)
    throw new EngineError(cause.code, `No worker can hold ${this.info.id}: ${cause.message}`, { cause })
  }

  #wakeFromSleep(arriving: (ModelHealth['sleep'] & {})['arriving'], wasIn: boolean): void {
    if (wasIn || arriving === 'wait') return
    if (arriving === 'wake') return void this.wake().catch(() => {}) // whoever waits hears why
    throw new EngineError('model_asleep', `${this.info.id} sleeps, and requests do not wait for it: wake it.`)
  }

  #load(): { queued: number; running: number; replicas: number } {
    const most = this.#info?.maxRunning ?? 1
    const counts = this.#pool.all.map(({ numRequests }) => numRequests)
    const running = counts.reduce((sum, count) => sum + Math.min(count, most), 0)
    const queued = counts.reduce((sum, count) => sum + Math.max(0, count - most), this.#queue.length)
    return { queued, running, replicas: this.#pool.wanted }
  }
}

/** What counts of a request while it waits for a replica. */
interface Waiting {
  readonly queueTimeoutMs?: number
  readonly timeoutMs?: number
  /** It was let in before. */
  readonly resume?: unknown
}

/** A chunk of a sequence that has begun: its state lies in one worker. */
function isBound(request: Request): boolean {
  return request.task !== 'generate' && request.sequence !== undefined && request.sequence.start !== true
}

/** A worker that died holds nothing any more. */
function ignoreDeath(error: unknown): undefined {
  if (!(error instanceof EngineError && error.code === 'engine_lost')) throw error
  return undefined
}
