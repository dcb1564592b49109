import type {
  Request,
  LoadRequest,
  ModelInfo,
  ModelStats,
  ReplicaHealth,
  ReplicaState,
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
}

/** One worker that holds one model, kept alive: when the worker dies another takes its place, with the model out of the store. */
export class Replica {
  readonly #request: LoadRequest
  readonly #ports: ReplicaPorts
  readonly #policy = new RestartPolicy()
  #state: ReplicaState | 'gone' = 'starting'
  #worker: WorkerLink | undefined
  #numRequests = 0
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
    return this.#numRequests
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

  health(): ReplicaHealth | undefined {
    if (this.#state === 'gone') return undefined
    return {
      state: this.#state,
      requests: this.#numRequests,
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
   * Has the worker answer a request; resolves when it has said its last word. Throws `engine_lost` when the worker died before.
   * @param id names the request for `cancel`. @param isCancelled it was, before it was sent: it is checked, and ends without a step.
   */
  async run(request: Request, port: MessagePort, id: string, isCancelled: boolean): Promise<void> {
    const worker = this.#worker
    if (worker === undefined) throw new Error('a replica was given a request before it was ready')
    this.#numRequests++
    try {
      await worker.link.ask((api) => api.submit(handOverTensors(request), handOver(port), id, isCancelled))
      this.#policy.succeeded()
    } finally {
      this.#numRequests--
      this.#ports.onChange()
    }
  }

  async cancel(id: string): Promise<void> {
    await this.worker?.link.ask((api) => api.cancel(id))
  }

  stats(model: string): Promise<ModelStats> | undefined {
    return this.worker?.link.call((api) => api.stats(model))
  }

  /** Gets nothing new from now on. */
  drain(): void {
    if (this.#state === 'ready') this.#become('draining')
  }

  /** Takes requests again, where it was drained and still holds the model. */
  resume(): void {
    if (this.#state === 'draining') this.#become('ready')
  }

  /** Ends the requests in its hands with `engine_lost`, as their last word. Gives the worker, which holds nothing then; ends one that holds nothing yet. */
  async unload(model: string): Promise<WorkerLink | undefined> {
    const holds = this.#state === 'ready' || this.#state === 'draining'
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
    if (this.#state === 'draining' || delayMs === undefined) {
      return this.#become(this.#state === 'draining' ? 'gone' : 'failed')
    }
    this.#become('restarting')
    if (delayMs > 0) await new Promise((resolve) => setTimeout(resolve, delayMs))
    if (this.#hasEnded()) return
    this.#numRestarts++
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
