import type { LoadRequest, ModelHealth, ModelInfo, ModelStats, Request, Scaling } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { chooseReplica } from '../control/route.ts'
import { Changes } from './changes.ts'
import { modelHealth } from './model-health.ts'
import { PrefixHomes, beginningsOf } from './prefix-homes.ts'
import { Replica } from './replica.ts'
import { withoutWait } from './request-deadline.ts'
import { refuseReplicasOnGpu } from './resolve-scaling.ts'
import { Scaler } from './scaler.ts'
import { emptyStats, sumStats } from './sum-stats.ts'
import type { WorkerLink } from './worker-link.ts'

export interface ReplicaSetOptions {
  readonly request: LoadRequest
  readonly scaling: Scaling
  /** Starts a worker for one of this many replicas. */
  readonly startWorker: (numReplicas: number) => Promise<WorkerLink>
  /** How many of so many replicas that the load asks for memory has room for. */
  readonly fit: (set: ReplicaSet, replicas: number) => number
}

/** The replicas of one model: how many there are to be, which one gets a request, and who waits for one. */
export class ReplicaSet {
  readonly #options: ReplicaSetOptions
  readonly #scaler: Scaler
  readonly #homes = new PrefixHomes<Replica>()
  #replicas: Replica[] = []
  #info: ModelInfo | undefined
  #wanted = 0
  /** Why nothing more is answered. */
  #end: EngineError | undefined
  readonly #changes = new Changes()
  #numWaiting = 0
  /** Why the last replica that failed did. */
  #problem: EngineError | undefined

  /** Throws `bad_request`. */
  constructor(options: ReplicaSetOptions) {
    this.#options = options
    this.#scaler = new Scaler(options.scaling, {
      load: () => this.#load(),
      scale: (wanted) => this.#want(wanted),
      fit: (replicas) => options.fit(this, replicas),
    })
    const { device, runner } = options.request
    if (device === 'webgpu' || runner === 'webgpu') refuseReplicasOnGpu(this.#scaler.most)
  }

  get request(): LoadRequest {
    return this.#options.request
  }

  /** As it was asked for last. */
  get scaling(): Scaling {
    return this.#scaler.scaling
  }

  /** How many replicas there are to be. */
  get wanted(): number {
    return this.#wanted
  }

  /** Throws where it was never loaded. */
  get info(): ModelInfo {
    if (this.#info === undefined) throw new Error('a model was asked about before it was loaded')
    return this.#info
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
    return this.#ready()[0]?.worker
  }

  /** Loads the first replica, and then those that are there from the start. @param port where the load tells of itself. */
  async load(port: MessagePort): Promise<ModelInfo> {
    const { awake } = this.#scaler
    this.#wanted = 1
    const replica = this.#add(awake)
    try {
      this.#info = await replica.start(port)
    } catch (error) {
      this.dispose('its model could not be loaded')
      throw error
    }
    // The others find the weights in the store.
    if (awake > 1) await this.#reach(awake)
    this.#scaler.start(this.#info.maxRunning)
    return this.#info
  }

  /** Takes up a model that another tab had loaded, known by what it said of itself. Loads in the background. */
  restore(info: ModelInfo): void {
    this.#info = info
    this.#want(this.#scaler.awake)
    this.#scaler.start(info.maxRunning)
  }

  /** Resolves when as many replicas are there as wanted and no others. Throws what keeps a replica from starting. */
  async scale(wanted: number): Promise<ModelHealth> {
    if (this.info.choice.device === 'webgpu') {
      const { choice } = await this.current()
      if (choice.device === 'webgpu') refuseReplicasOnGpu(wanted)
    }
    this.#scaler.pin(wanted)
    await this.#reach(wanted)
    return this.health()
  }

  /** Resolves when the request's last word is said. Throws `engine_lost` when its worker died before, `aborted` when the signal fired while it waited. */
  async submit(request: Request, port: MessagePort, id: string, signal: AbortSignal): Promise<void> {
    const submitted = performance.now()
    const beginnings = beginningsOf(request)
    const replica =
      this.#pick(beginnings, isBound(request)) ?? (await this.#awaitReplica(request, beginnings, signal))
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
    const replica = this.#pick([]) ?? (await this.#awaitReplica({}, [], new AbortController().signal))
    if (replica.worker === undefined) throw new Error('a replica that is ready has no worker')
    return replica.worker
  }

  async stats(): Promise<ModelStats> {
    const all = await Promise.all(this.#replicas.map((replica) => replica.stats(this.info.id)))
    return all.filter((stats) => stats !== undefined).reduce(sumStats, emptyStats())
  }

  async resetPrefixCache(): Promise<void> {
    await Promise.all(
      this.#replicas.map(({ worker }) => worker?.link.call((api) => api.resetPrefixCache(this.info.id))),
    )
  }

  health(): ModelHealth {
    const [info, wanted, waiting, problem] = [this.info, this.#wanted, this.#numWaiting, this.#problem]
    return modelHealth({ info, replicas: this.#replicas, wanted, waiting, problem })
  }

  /** Lets every request that is running end, and takes no more. */
  async retire(): Promise<void> {
    // Those that wait are told to ask for the model again, which is another by now.
    this.#end = new EngineError('engine_lost', `${this.info.id} was replaced.`)
    this.#scaler.stop()
    this.#want(0)
    await this.#changes.until(() => this.#replicas.length === 0)
    this.dispose('its model was replaced')
  }

  /** Ends every request that is running with `engine_lost`, as its last word. Gives the workers, which hold nothing then. */
  async unload(): Promise<WorkerLink[]> {
    this.#end = new EngineError('model_not_loaded', `${this.info.id} was unloaded while the request waited.`)
    this.#scaler.stop()
    const unloading = this.#replicas.map((replica) => replica.unload(this.info.id).catch(ignoreDeath))
    const workers = await Promise.all(unloading)
    this.#changed()
    return workers.filter((worker) => worker !== undefined)
  }

  /** Ends every worker at once. */
  dispose(reason: string): void {
    this.#end ??= new EngineError('engine_lost', `The engine is gone: ${reason}.`)
    this.#scaler.stop()
    for (const replica of this.#replicas) replica.dispose(reason)
    this.#changed()
  }

  async #reach(wanted: number): Promise<void> {
    this.#problem = undefined
    this.#want(wanted)
    await this.#changes.until(() => {
      if (this.#problem !== undefined && this.#replicas.length < wanted) throw this.#problem
      const { length } = this.#replicas
      return this.#wanted !== wanted || (length === wanted && this.#ready().length === wanted)
    })
  }

  #ready(): Replica[] {
    return this.#replicas.filter(({ state }) => state === 'ready')
  }

  /** @param isBound it must go where its beginning is, however long the queue. */
  #pick(beginnings: readonly string[], isBound = false): Replica | undefined {
    const ready = this.#ready()
    if (ready.length === 0) return undefined
    const home = this.#homes.find(beginnings)
    if (isBound && home !== undefined && home.worker !== undefined) return home
    const affinity = home === undefined ? -1 : ready.indexOf(home)
    const chosen = chooseReplica(
      ready.map(({ numRequests }) => numRequests),
      affinity < 0 ? undefined : affinity,
    )
    const replica = ready[chosen]
    if (replica !== undefined) this.#homes.remember(beginnings, replica)
    return replica
  }

  /** Waits until a replica is ready, and wakes one where none is to be. */
  async #awaitReplica(
    request: { readonly queueTimeoutMs?: number; readonly timeoutMs?: number },
    beginnings: readonly string[],
    signal: AbortSignal,
  ): Promise<Replica> {
    this.#numWaiting++
    const { queueTimeoutMs = Infinity, timeoutMs = Infinity } = request
    const waitMs = Math.min(queueTimeoutMs, timeoutMs)
    let isLate = false
    const timer = Number.isFinite(waitMs)
      ? setTimeout(() => ((isLate = true), this.#changed()), waitMs)
      : undefined
    const wake = () => this.#changed()
    signal.addEventListener('abort', wake)
    let replica: Replica | undefined
    try {
      if (this.#wanted === 0) this.#problem = undefined // what is over may be tried again
      await this.#changes.until(() => {
        if (signal.aborted)
          throw new EngineError('aborted', 'The request was cancelled while it waited for a worker.')
        if (isLate) throw new EngineError('timeout', 'The deadline passed before a worker was ready.')
        replica = this.#pick(beginnings)
        if (replica === undefined) this.#refuseHopeless()
        return replica !== undefined
      })
    } finally {
      this.#numWaiting--
      clearTimeout(timer)
      signal.removeEventListener('abort', wake)
    }
    if (replica === undefined) throw new Error('waited for a replica, and there is none')
    return replica
  }

  /** Throws where no replica will ever be ready. */
  #refuseHopeless(): void {
    if (this.#end !== undefined) throw this.#end
    if (this.#replicas.some(({ state }) => state === 'starting' || state === 'restarting')) return
    const cause = this.#replicas.find(({ state }) => state === 'failed')?.problem ?? this.#problem
    if (cause === undefined) return this.#want(this.#scaler.awake)
    throw new EngineError(cause.code, `No worker can hold ${this.info.id}: ${cause.message}`, { cause })
  }

  /** Brings the number of replicas there; what is too many is drained first. */
  #want(wanted: number): void {
    this.#wanted = wanted
    for (const replica of this.#replicas) if (replica.state === 'failed') replica.dispose('it had failed')
    const staying = () => this.#replicas.filter(({ state }) => state !== 'draining' && state !== 'gone')
    for (let count = staying().length; count < wanted; count++) {
      const drained = this.#replicas.find(({ state }) => state === 'draining')
      if (drained === undefined) this.#startAnother(wanted)
      else drained.resume()
    }
    for (let left = staying(); left.length > wanted; left = staying()) {
      const idlest = left.reduce((a, b) => (rankToGo(b) < rankToGo(a) ? b : a))
      if (idlest.state === 'ready') idlest.drain()
      else idlest.dispose('fewer are wanted')
    }
    this.#changed()
  }

  #startAnother(numReplicas: number): void {
    this.#add(numReplicas)
      .start()
      .then(
        (info) => {
          this.#info = info
          this.#changed()
        },
        () => {}, // `startFailure` tells
      )
  }

  #add(numReplicas: number): Replica {
    const replica = new Replica(this.#options.request, {
      startWorker: () => this.#options.startWorker(numReplicas),
      onChange: () => this.#changed(),
    })
    this.#replicas.push(replica)
    return replica
  }

  #changed(): void {
    for (const replica of this.#replicas)
      if (replica.state === 'draining' && replica.numRequests === 0) replica.dispose('it was drained')
    const gone = this.#replicas.filter(({ state }) => state === 'gone')
    this.#replicas = this.#replicas.filter(({ state }) => state !== 'gone')
    for (const replica of gone) {
      this.#homes.forget(replica)
      if (replica.startFailure === undefined) continue
      // What cannot be had is not wanted, until somebody asks again.
      this.#problem = replica.startFailure
      this.#wanted = Math.min(this.#wanted, this.#replicas.length)
    }
    this.#changes.tell()
  }

  #load(): { queued: number; running: number; replicas: number } {
    const most = this.#info?.maxRunning ?? 1
    const counts = this.#replicas.map(({ numRequests }) => numRequests)
    const running = counts.reduce((sum, count) => sum + Math.min(count, most), 0)
    const queued = counts.reduce((sum, count) => sum + Math.max(0, count - most), this.#numWaiting)
    return { queued, running, replicas: this.#wanted }
  }
}

/** A chunk of a sequence that has begun: its state lies in one worker. */
function isBound(request: Request): boolean {
  return request.task !== 'generate' && request.sequence !== undefined && request.sequence.start !== true
}

/** Who goes first when there are too many: one that has failed, one that is not ready yet, then the one with the shortest queue. */
function rankToGo({ state, numRequests }: Replica): number {
  return state === 'failed' ? -2 : state === 'ready' ? numRequests : -1
}

/** A worker that died holds nothing any more. */
function ignoreDeath(error: unknown): undefined {
  if (!(error instanceof EngineError && error.code === 'engine_lost')) throw error
  return undefined
}
