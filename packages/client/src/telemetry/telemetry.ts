import type { ObserverMessage, Request, TelemetryEvent } from '@tabserve/protocol'
import { isSampled, timeMs } from '@tabserve/protocol'
import type { Listener } from '../control/dispatcher.ts'
import type { RolloutOptions } from '../control/rollout.ts'
import type { Host } from '../hub/host.ts'
import { handOver } from '../hub/link.ts'
import { OneShotTelemetry } from './one-shot-telemetry.ts'
import { RequestTelemetry } from './request-telemetry.ts'
import type { CheckedTelemetry, TelemetryHook } from './telemetry-options.ts'
import { userTiming } from './user-timing.ts'

/** Before a host that could not be listened to is asked again. */
const RETRY_MS = 1000

/** What a client tells its hook: what happens on the page, in the hub and in the workers. */
export class Telemetry {
  readonly #options: CheckedTelemetry
  readonly #hooks: readonly TelemetryHook[]
  readonly #ports = new Set<MessagePort>()
  #isDisposed = false
  #hasThrown = false

  constructor(options: CheckedTelemetry) {
    this.#options = options
    this.#hooks = options.userTiming ? [options.hook, userTiming()] : [options.hook]
  }

  /** Listens to the hub and its workers; when the tab that held them is gone, to the next one's. Never rejects. */
  async listen(host: Host): Promise<void> {
    while (!this.#isDisposed) {
      const { port1, port2 } = new MessageChannel()
      this.#hear(port1)
      try {
        const { sample } = this.#options
        await host.call((api) => api.observe(handOver(port2), { sample }))
      } catch {
        // Nobody there: asked again below.
      }
      this.#leave(port1)
      if (!this.#isDisposed) await new Promise((resolve) => setTimeout(resolve, RETRY_MS))
    }
  }

  /**
   * Submits a request under its id and tells what becomes of it. Throws what `submit` throws.
   * @param handlerOf a model's task, where the page knows it.
   */
  submit(
    request: Request,
    listener: Listener,
    submit: (request: Request, listener: Listener) => () => void,
    handlerOf: (model: string) => string | undefined = () => undefined,
  ): () => void {
    const id = request.requestId ?? randomId()
    const named: Request = { ...request, requestId: id }
    if (!isSampled(id, this.#options.sample)) return submit(named, listener)
    const tell = (event: TelemetryEvent) => this.#tell(event)
    const tellsContent = this.#options.content
    const told =
      named.task === 'generate'
        ? new RequestTelemetry(named, id, listener, tellsContent, tell)
        : new OneShotTelemetry(
            { id, request: named, handler: handlerOf(named.model), tellsContent },
            listener,
            tell,
          )
    try {
      return submit(named, told.listener)
    } catch (error) {
      told.refused(error)
      throw error
    }
  }

  /** A rollout's options, with an ear of ours. */
  ofRollout(options: RolloutOptions): RolloutOptions {
    return {
      ...options,
      onEvent: (event) => {
        const { type: what, ...status } = event
        this.#tell({ type: 'rollout', timeMs: timeMs(), what, ...status })
        options.onEvent?.(event)
      },
    }
  }

  dispose(): void {
    this.#isDisposed = true
    for (const port of this.#ports) this.#leave(port)
  }

  #hear(port: MessagePort): void {
    this.#ports.add(port)
    port.addEventListener('close', () => this.#ports.delete(port))
    port.onmessage = ({ data }: MessageEvent<ObserverMessage>) => {
      if (data.type === 'worker') this.#hear(data.port)
      else for (const event of data.events) if (this.#isWanted(event)) this.#tell(event)
    }
  }

  #leave(port: MessagePort): void {
    port.postMessage('stop')
    port.close()
    this.#ports.delete(port)
  }

  /** Others may listen too, and want more. */
  #isWanted(event: TelemetryEvent): boolean {
    return !('id' in event) || isSampled(event.id, this.#options.sample)
  }

  #tell(event: TelemetryEvent): void {
    for (const hook of this.#hooks) {
      try {
        hook(event)
      } catch (error) {
        if (!this.#hasThrown) console.error('tabserve: the telemetry hook threw; this is said once.', error)
        this.#hasThrown = true
      }
    }
  }
}

/** As long as a trace's id; `crypto.randomUUID` is for secure pages only. */
function randomId(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) =>
    byte.toString(16).padStart(2, '0'),
  ).join('')
}
