import type { Observer } from '@tabserve/engine'
import type { ObserveOptions, ObserverMessage, TelemetryEvent } from '@tabserve/protocol'
import { isSampled } from '@tabserve/protocol'

/** Events of so many milliseconds go in one message: a message costs a small model a good part of a step. */
const FLUSH_MS = 50
/** So many go at once: in a hidden tab timers fire once a second. */
const MOST_EVENTS = 256

/** Carries what happens in a worker to those who listen, many events in a message. */
export class Telemetry {
  readonly #listeners = new Map<MessagePort, ObserveOptions>()
  #worker = ''
  #events: TelemetryEvent[] = []
  #timer: ReturnType<typeof setTimeout> | undefined

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
    if (!this.isOn) return
    const count = this.#events.push(event)
    if (count === 1) this.#timer = setTimeout(() => this.#flush(), FLUSH_MS)
    else if (count >= MOST_EVENTS) this.#flush()
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
    clearTimeout(this.#timer)
    const events = this.#events
    this.#events = []
    for (const port of this.#listeners.keys())
      port.postMessage({ type: 'events', events } satisfies ObserverMessage)
  }
}
