import type { DeviceReport, EngineApi, WorkerConfig } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { systemClock } from '../control/clock.ts'
import { Link } from './link.ts'
import { limitStart } from './start-limit.ts'
import { watch } from './watch.ts'

/** A load blocks the worker for as long as the model is large: nothing tells a stuck one from a slow one but time. */
const LOAD_HANG_FACTOR = 6

export interface WorkerLinkOptions extends Omit<WorkerConfig, 'lifeLock'> {
  readonly worker: () => Worker
  /** Milliseconds without a sign of life, or without progress while there is work, after which the worker is ended. */
  readonly hangTimeoutMs: number
  /** Milliseconds until its first sign of life after which a worker is ended. */
  readonly startTimeoutMs: number
}

/** One worker, watched: it dies when it closes itself, is killed, throws where nobody catches, or is stuck. */
export class WorkerLink {
  readonly link: Link<EngineApi>
  readonly device: DeviceReport
  readonly #worker: Worker
  #numLoads = 0

  /** Starts a worker. Throws `engine_lost` when its script cannot be run, or does not answer in time. */
  static async start({
    worker: make,
    hangTimeoutMs,
    startTimeoutMs,
    ...config
  }: WorkerLinkOptions): Promise<WorkerLink> {
    const lifeLock = `tabserve-worker ${crypto.getRandomValues(new Uint32Array(4)).join('-')}`
    const worker = make()
    const link = new Link<EngineApi>(worker)
    worker.addEventListener('error', (event) => {
      worker.terminate()
      link.die(gone(event.message || 'its script could not be loaded'))
    })
    const end = (error: EngineError) => {
      worker.terminate()
      link.die(error)
    }
    const pulse = () => link.ask((api) => api.pulse())
    const firstSign = pulse()
    limitStart({ clock: systemClock, startTimeoutMs, firstSign, onLate: end })
    let stopWatching = () => {}
    firstSign.then(
      () => {
        // Until it holds its lock, nothing but silence tells that it has died.
        const onHung = (problem: string) => end(gone(problem))
        stopWatching = watch({ hangTimeoutMs: () => hangTimeoutMs, pulse, onHung })
      },
      () => {}, // it is gone, as `configure` says
    )
    try {
      const device = await link.call((api) => api.configure({ ...config, lifeLock }))
      awaitLock(lifeLock, () => link.die(gone('it closed itself or was killed')))
      return new WorkerLink(worker, link, device, hangTimeoutMs)
    } catch (error) {
      worker.terminate()
      throw error
    } finally {
      stopWatching()
    }
  }

  private constructor(worker: Worker, link: Link<EngineApi>, device: DeviceReport, hangTimeoutMs: number) {
    this.#worker = worker
    this.link = link
    this.device = device
    const stopWatching = watch({
      hangTimeoutMs: () => hangTimeoutMs * (this.#numLoads > 0 ? LOAD_HANG_FACTOR : 1),
      pulse: () => link.ask((api) => api.pulse()),
      onHung: (problem) => this.terminate(problem),
    })
    link.onDeath(stopWatching)
  }

  /** Runs a call that may block the worker for long. */
  async loading<T>(call: () => Promise<T>): Promise<T> {
    this.#numLoads++
    try {
      return await call()
    } finally {
      this.#numLoads--
    }
  }

  /** Ends the worker; everything that waits for it fails with `engine_lost`. */
  terminate(reason: string): void {
    if (!this.link.alive) return
    this.#worker.terminate()
    this.link.release()
    this.link.die(gone(reason))
  }
}

/** Calls `onFree` when whoever holds the lock is gone: no event tells of a worker, or tab, that closed itself or was killed. */
export function awaitLock(name: string, onFree: () => void): void {
  // Insecure pages have no Web Locks; there only the worker's `error` event speaks.
  void navigator.locks?.request(name, onFree).catch(() => {})
}

function gone(reason: string): EngineError {
  return new EngineError('engine_lost', `The worker is gone: ${reason}. Load the model again to go on.`)
}
