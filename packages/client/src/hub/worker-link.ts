import type { Remote } from 'comlink'
import { releaseProxy, transfer, wrap } from 'comlink'
import type { Answer, DeviceReport, EngineApi, WorkerConfig } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/**
 * One worker and the knowledge of whether it lives. Comlink's calls never settle when a worker dies; here they reject with
 * `engine_lost`, at once.
 */
export class WorkerLink {
  readonly device: DeviceReport
  readonly #worker: Worker
  readonly #api: Remote<EngineApi>
  readonly #death: Death

  /** Starts a worker. Throws `engine_lost` when its script cannot be run. */
  static async start(make: () => Worker, config: Omit<WorkerConfig, 'lifeLock'>): Promise<WorkerLink> {
    const lifeLock = `tabserve-worker ${crypto.getRandomValues(new Uint32Array(4)).join('-')}`
    const worker = make()
    const api = wrap<EngineApi>(worker)
    const death = new Death()
    worker.addEventListener('error', (event) => {
      worker.terminate()
      death.die(event.message || 'its script could not be loaded')
    })
    try {
      const configured = death.race<Answer<DeviceReport>>(api.configure({ ...config, lifeLock }))
      const device = unpack(await configured)
      watch(lifeLock, death)
      return new WorkerLink(worker, api, death, device)
    } catch (error) {
      worker.terminate()
      throw error
    }
  }

  private constructor(worker: Worker, api: Remote<EngineApi>, death: Death, device: DeviceReport) {
    this.#worker = worker
    this.#api = api
    this.#death = death
    this.device = device
  }

  get alive(): boolean {
    return this.#death.error === undefined
  }

  /** Calls the worker and takes its answer apart. Throws what the worker answers, or `engine_lost`. */
  async call<T>(method: (api: Remote<EngineApi>) => Promise<Answer<T>>): Promise<T> {
    if (this.#death.error !== undefined) throw this.#death.error
    return unpack(await this.#death.race(method(this.#api)))
  }

  /** Sends something whose answer comes elsewhere. Throws `bad_request` when it cannot be cloned. */
  async send(method: (api: Remote<EngineApi>) => Promise<void>): Promise<void> {
    await this.#death.race(method(this.#api))
  }

  /** Calls `listener` once when the worker dies, at once when it is dead. Returns how to stop listening. */
  onDeath(listener: (error: EngineError) => void): () => void {
    return this.#death.listen(listener)
  }

  /** Ends the worker; everything that waits for it fails with `engine_lost`. */
  terminate(reason: string): void {
    if (!this.alive) return
    this.#worker.terminate()
    this.#api[releaseProxy]()
    this.#death.die(reason)
  }
}

/** A port that moves to the worker with the call that it is an argument of. */
export function handOver(port: MessagePort): MessagePort {
  return transfer(port, [port])
}

/** A worker's end: happens at most once, and everybody who waits hears of it. */
class Death {
  error: EngineError | undefined
  readonly #listeners = new Set<(error: EngineError) => void>()

  die(reason: string): void {
    if (this.error !== undefined) return
    this.error = new EngineError(
      'engine_lost',
      `The worker is gone: ${reason}. Load the model again to go on.`,
    )
    for (const listener of this.#listeners) listener(this.error)
    this.#listeners.clear()
  }

  listen(listener: (error: EngineError) => void): () => void {
    if (this.error === undefined) this.#listeners.add(listener)
    else listener(this.error)
    return () => this.#listeners.delete(listener)
  }

  async race<T>(call: Promise<T>): Promise<T> {
    let stop = () => {}
    const death = new Promise<never>((_, reject) => (stop = this.listen(reject)))
    try {
      return await Promise.race([call, death])
    } finally {
      stop()
    }
  }
}

/** Waits for the lock that the worker holds while it lives: no event tells of a worker that closed itself or was killed. */
function watch(lifeLock: string, death: Death): void {
  // Insecure pages have no Web Locks; there only the worker's `error` event speaks.
  void navigator.locks?.request(lifeLock, () => death.die('it closed itself or was killed')).catch(() => {})
}

function unpack<T>(answer: Answer<T>): T {
  if (answer.ok) return answer.value
  throw EngineError.fromWire(answer.error)
}
