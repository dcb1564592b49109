import type {
  Request,
  LoadRequest,
  ModelInfo,
  ModelStats,
  ReplicaHealth,
  ReplicaState,
  SubmitEnd,
} from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import { handOver, handOverTensors } from './link.ts'
import { RestartPolicy } from './restart-policy.ts'
import type { WorkerLink } from './worker-link.ts'

export interface ReplicaPorts {
  /** Gives a configured worker that holds nothing. */
  readonly startWorker: () => Promise<WorkerLink>
  /** Called whenever state or queue change. */
  readonly onChange: () => void
  /** Called when another worker is about to take the place of one that died. */
  readonly onRestart: (restarts: number) => void
}

/** One worker that holds one model, kept alive: when the worker dies another takes its place, with the model out of the store. */
export class Replica {
  readonly #request: LoadRequest
  readonly #ports: ReplicaPorts
  readonly #policy = new RestartPolicy()
  #state: ReplicaState | 'gone' = 'starting'
  #worker: WorkerLink | undefined
  /** In its hands, by id. */
  readonly #requests = new Set<string>()
  /** Those of them that are to be asked again. */
  readonly #putOff = new Set<string>()
  /** Its worker has given the model's memory back. */
  #isEmpty = false
  #numRestarts = 0
  #problem: EngineError | undefined
  #startFailure: EngineError | undefined

  constructor(request: LoadRequest, ports: ReplicaPorts) {
    this.#request = request
    this.#ports = ports
  }

  get state(): ReplicaState | 'gone' {
    return this.#state
  }

  /** Requests in its hands. */
  get numRequests(): number {
    return this.#requests.size
  }

  /** Why its worker died last, or could not be started. */
  get problem(): EngineError | undefined {
    return this.#problem
  }

  /** Why it never was ready. */
  get startFailure(): EngineError | undefined {
    return this.#startFailure
  }

  /** The worker, where it can be called. */
  get worker(): WorkerLink | undefined {
    return this.#worker?.link.alive === true ? this.#worker : undefined
  }

  /** The worker, where it holds the model: it may answer what is no request. */
  get holder(): WorkerLink | undefined {
    const holds = this.#state === 'ready' || this.#state === 'draining' || this.#state === 'asleep'
    return holds && !this.#isEmpty ? this.worker : undefined
  }

  health(): ReplicaHealth | undefined {
    if (this.#state === 'gone') return undefined
    return {
      state: this.#state,
      requests: this.#requests.size,
      threads: this.#worker?.device.threads ?? 0,
      restarts: this.#numRestarts,
    }
  }

  /** Starts the worker and loads the model. What fails here is not tried again. @param port where the load tells of itself. */
  async start(port?: MessagePort): Promise<ModelInfo> {
    try {
      const info = await this.#load(this.#request, port)
      this.#become('ready')
      return info
    } catch (error) {
      const failure = EngineError.fromWire(toWireError(error, 'backend_failed'))
      // One that was disposed of meanwhile has not failed.
      if (!this.#hasEnded()) this.#startFailure = failure
      this.dispose('its model could not be loaded')
      throw failure
    }
  }

  /**
   * Has the worker answer a request; resolves when it has said its last word, with `again` when it was put off. Throws `engine_lost` when the worker died before.
   * @param id names the request for `cancel`. @param isCancelled it was, before it was sent: it is checked, and ends without a step.
   */
  async run(request: Request, port: MessagePort, id: string, isCancelled: boolean): Promise<SubmitEnd> {
    const worker = this.#worker
    if (worker === undefined) throw new Error('a replica was given a request before it was ready')
    this.#requests.add(id)
    try {
      await worker.link.ask((api) => api.submit(handOverTensors(request), handOver(port), id, isCancelled))
      this.#policy.succeeded()
      return this.#putOff.has(id) ? 'again' : 'over'
    } finally {
      this.#requests.delete(id)
      this.#putOff.delete(id)
      this.#ports.onChange()
    }
  }

  async cancel(id: string): Promise<void> {
    await this.worker?.link.ask((api) => api.cancel(id))
  }

  /** Ends what is in its hands: with reason `abort`, or without a word, to be asked again. */
  endRequests(how: 'abort' | 'keep'): void {
    for (const id of this.#requests) {
      if (how === 'keep') this.#putOff.add(id)
      const ended = this.worker?.link.ask((api) => (how === 'keep' ? api.putOff(id) : api.cancel(id)))
      void ended?.catch(() => {}) // then its worker died, and they end with it
    }
  }

  stats(model: string): Promise<ModelStats> | undefined {
    return this.holder?.link.call((api) => api.stats(model))
  }

  /** Gets nothing new from now on. */
  drain(): void {
    if (this.#state === 'ready') this.#become('draining')
  }

  /** Takes requests again, where it was drained and still holds the model. */
  resume(): void {
    if (this.#state === 'draining') this.#become('ready')
  }

  /** Gets nothing from now on, and keeps everything. Only of one that is ready. */
  rest(): void {
    if (this.#state === 'ready') this.#become('asleep')
  }

  /** Gives the model's memory back, of one that rests. Its worker keeps what it has compiled. */
  async empty(model: string): Promise<void> {
    const { holder } = this
    if (this.#state !== 'asleep' || holder === undefined) return
    this.#isEmpty = true
    await holder.link.call((api) => api.sleep(model))
  }

  /** Takes requests again, once it holds the model again. Never rejects: `startFailure` tells. */
  async wake(model: string): Promise<void> {
    const { worker } = this
    if (this.#state !== 'asleep' || worker === undefined) return
    if (!this.#isEmpty) return this.#become('ready')
    this.#become('starting')
    try {
      await worker.loading(() => worker.link.call((api) => api.wake(model)))
      this.#isEmpty = false
      if (!this.#hasEnded()) this.#become('ready')
    } catch (error) {
      // A worker that died is replaced, as ever.
      if (!worker.link.alive) return
      if (!this.#hasEnded()) this.#startFailure = EngineError.fromWire(toWireError(error, 'backend_failed'))
      this.dispose('its model could not be woken')
    }
  }

  /** Ends the requests in its hands with `engine_lost`, as their last word. Gives the worker, which holds nothing then; ends one that holds nothing yet. */
  async unload(model: string): Promise<WorkerLink | undefined> {
    const holds = this.#state === 'ready' || this.#state === 'draining' || this.#state === 'asleep'
    const worker = holds ? this.worker : undefined
    this.#state = 'gone'
    try {
      await worker?.link.call((api) => api.unload(model))
      if (worker !== undefined) this.#worker = undefined
      return worker
    } finally {
      this.dispose('its model was unloaded')
    }
  }

  /** Ends the worker at once. */
  dispose(reason: string): void {
    this.#become('gone')
    this.#worker?.terminate(reason)
    this.#worker = undefined
  }

  async #load(request: LoadRequest, port = new MessageChannel().port2): Promise<ModelInfo> {
    const worker = await this.#ports.startWorker()
    this.#worker = worker
    this.#isEmpty = false
    // Disposed of while the worker started.
    if (this.#state === 'gone') worker.terminate('its model is not wanted any more')
    const info = await worker.loading(() => worker.link.call((api) => api.load(request, handOver(port))))
    worker.link.onDeath((error) => void this.#died(error))
    return info
  }

  /** Never rejects: what goes wrong is the next death. */
  async #died(error: EngineError): Promise<void> {
    this.#problem = error
    if (this.#state === 'gone') return
    const delayMs = this.#policy.died()
    // What gets nothing new needs no worker: who wakes it starts another.
    if (this.#state === 'draining' || this.#state === 'asleep') return this.#become('gone')
    if (delayMs === undefined) return this.#become('failed')
    this.#become('restarting')
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
    if (this.#hasEnded()) return
    this.#numRestarts++
    this.#ports.onRestart(this.#numRestarts)
    try {
      // What is stored is loaded without a request: also where the page is offline by now.
      await this.#load({ ...this.#request, refresh: false })
      if (!this.#hasEnded()) this.#become('ready')
    } catch (cause) {
      this.#worker?.terminate('its model could not be loaded again')
      if (!this.#hasEnded()) await this.#died(EngineError.fromWire(toWireError(cause, 'engine_lost')))
    }
  }

  /** A method, because the state changes while others wait. */
  #hasEnded(): boolean {
    return this.#state === 'gone' || this.#state === 'failed'
  }

  #become(state: ReplicaState | 'gone'): void {
    this.#state = state
    this.#ports.onChange()
  }
}
