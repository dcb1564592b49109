import type {
  ObserveOptions,
  ObserverMessage,
  TelemetryEvent,
  WorkerDownEvent,
  WorkerRestartEvent,
} from '@tabserve/protocol'
import { timeMs } from '@tabserve/protocol'
import { handOver } from './link.ts'
import type { WorkerLink } from './worker-link.ts'

/** An event of the hub, before it has its time. */
export type HubEvent = Omit<WorkerDownEvent, 'timeMs'> | Omit<WorkerRestartEvent, 'timeMs'>

interface Worker {
  readonly name: string
  readonly link: WorkerLink
  readonly upMs: number
}

/** Those who listen to a hub and its workers. Workers tell each of them directly: the hub only brings the two together. */
export class Observers {
  readonly #listeners = new Map<MessagePort, ObserveOptions>()
  readonly #workers = new Set<Worker>()
  #numWorkers = 0
  #close = () => {}
  /** Resolves when nothing more is told. */
  readonly closed = new Promise<void>((resolve) => (this.#close = resolve))

  /** Tells everything from now on on `port`, until the other end says `stop` or is gone. */
  add(port: MessagePort, options: ObserveOptions): void {
    this.#listeners.set(port, options)
    const stop = () => {
      this.#listeners.delete(port)
      port.close()
    }
    port.onmessage = stop
    port.addEventListener('close', stop)
    for (const worker of this.#workers) {
      post(port, { type: 'events', events: [upEvent(worker)] })
      introduce(worker, port, options)
    }
  }

  /** Takes a worker in, which has just started. */
  watch(link: WorkerLink): void {
    const worker: Worker = { name: `worker-${++this.#numWorkers}`, link, upMs: timeMs() }
    this.#workers.add(worker)
    this.#post(upEvent(worker))
    for (const [port, options] of this.#listeners) introduce(worker, port, options)
    link.link.onDeath(({ message }) => {
      this.#workers.delete(worker)
      this.tell({ type: 'worker-down', worker: worker.name, reason: message })
    })
  }

  tell(event: HubEvent): void {
    if (this.#listeners.size > 0) this.#post({ ...event, timeMs: timeMs() })
  }

  close(): void {
    this.#close()
  }

  #post(event: TelemetryEvent): void {
    for (const port of this.#listeners.keys()) post(port, { type: 'events', events: [event] })
  }
}

/** Gives a worker and a listener the two ends of a channel. */
function introduce({ name, link: { link } }: Worker, listener: MessagePort, options: ObserveOptions): void {
  const { port1, port2 } = new MessageChannel()
  // A worker that is gone by then has nothing to tell.
  void link.call((api) => api.observe(name, handOver(port1), options)).catch(() => {})
  post(listener, { type: 'worker', port: port2 }, port2)
}

function post(port: MessagePort, message: ObserverMessage, ...transfer: MessagePort[]): void {
  port.postMessage(message, transfer)
}

function upEvent({ name, link, upMs }: Worker): TelemetryEvent {
  return { type: 'worker-up', timeMs: upMs, worker: name, threads: link.device.threads }
}
