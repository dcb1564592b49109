import type { Observer } from '@tabserve/engine'
import type { ObserveOptions, ObserverMessage, TelemetryEvent } from '@tabserve/protocol'
import { isSampled } from '@tabserve/protocol'

/** Carries what happens in a worker to those who listen. What is told in one go, a step for example, goes in one message. */
export class Telemetry {
  readonly #listeners = new Map<MessagePort, ObserveOptions>()
  #worker = ''
  #events: TelemetryEvent[] = []

  get isOn(): boolean {
    return this.#listeners.size > 0
  }

  get worker(): string {
    return this.#worker
  }

  /** Tells from now on what happens, until the other end says `stop` or is gone. @param worker what events call this worker. */
  observe(worker: string, port: MessagePort, options: ObserveOptions): void {
    this.#worker = worker
    this.#listeners.set(port, options)
    const stop = () => {
      this.#listeners.delete(port)
      port.close()
    }
    port.onmessage = stop
    // Where browsers tell: a page that is gone listens to nothing.
    port.addEventListener('close', stop)
  }

  tell(event: TelemetryEvent): void {
    if (this.isOn && this.#events.push(event) === 1) queueMicrotask(() => this.#flush())
  }

  /** For the engine of a model, `name@version`. */
  observerOf(model: string): Observer {
    const telemetry = this
    return {
      model,
      get isOn() {
        return telemetry.isOn
      },
      get worker() {
        return telemetry.worker
      },
      isSampled: (id) => telemetry.#isSampled(id),
      tell: (event) => telemetry.tell(event),
    }
  }

  /** By anybody; each leaves out what it does not want. */
  #isSampled(id: string): boolean {
    for (const { sample } of this.#listeners.values()) if (isSampled(id, sample)) return true
    return false
  }

  #flush(): void {
    const events = this.#events
    this.#events = []
    for (const port of this.#listeners.keys())
      port.postMessage({ type: 'events', events } satisfies ObserverMessage)
  }
}

/** Now, as events say it. */
export function timeMs(): number {
  return performance.timeOrigin + performance.now()
}
