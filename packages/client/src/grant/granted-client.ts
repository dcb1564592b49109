import type {
  Answer,
  GenerateRequest,
  GrantCommand,
  GrantEvent,
  GrantedEvent,
  GrantedModel,
  RequestCommand,
} from '@tabserve/protocol'
import { EngineError, toWireError, unpack } from '@tabserve/protocol'
import type { GenerateOptions } from '../client-options.ts'
import type { Listener } from '../control/dispatcher.ts'
import type { Generation } from '../generation.ts'
import { startGeneration } from '../start-generation.ts'

/** What the holder of a granted port can do: ask the models that it was granted. */
export class GrantedClient {
  readonly #port: MessagePort
  readonly #calls = new Map<number, (answer: Answer<unknown>) => void>()
  /** How to fail what is under way. */
  readonly #open = new Set<(reason: EngineError) => void>()
  #numCalls = 0
  /** Why nothing can be asked any more. */
  #end: EngineError | undefined

  constructor(port: MessagePort) {
    this.#port = port
    port.onmessage = ({ data }: MessageEvent<GrantEvent>) => this.#take(data)
    port.addEventListener('close', () =>
      this.#stop(new EngineError('not_allowed', 'The page that granted is gone.')),
    )
  }

  /** The models and aliases that may be asked. Rejects with `not_allowed` once the grant is revoked. */
  async list(): Promise<readonly GrantedModel[]> {
    if (this.#end !== undefined) throw this.#end
    const call = this.#numCalls++
    const answered = new Promise<Answer<unknown>>((resolve) => this.#calls.set(call, resolve))
    this.#tell({ type: 'list', call })
    return unpack((await answered) as Answer<readonly GrantedModel[]>) // the page answers each call with what that call gives
  }

  /** As `Client.generate`. The page that granted goes on with it when a worker dies. */
  generate({ signal, stickyKey, ...options }: GenerateOptions): Generation {
    const request: GenerateRequest = { task: 'generate', ...options }
    return startGeneration(signal, (listener) => this.#submit(request, stickyKey, listener))
  }

  /** Gives the right back; running requests end with `not_allowed`. */
  close(): void {
    this.#stop(new EngineError('not_allowed', 'The granted port was closed.'))
  }

  /** Returns how to cancel. */
  #submit(request: GenerateRequest, stickyKey: string | undefined, listener: Listener): () => void {
    if (this.#end !== undefined) throw this.#end
    const { port1, port2 } = new MessageChannel()
    let isCancelled = false
    const fail = (reason: EngineError) => hear({ type: 'error', error: reason.toWire() })
    const hear = (event: GrantedEvent) => {
      if (event.type === 'served-by') return listener.servedBy(event.server)
      if (!this.#open.has(fail)) return
      listener.take(event)
      if (event.type === 'delta') return
      this.#open.delete(fail)
      port1.close()
    }
    this.#open.add(fail)
    port1.onmessage = ({ data }: MessageEvent<GrantedEvent>) => hear(data)
    // After this task, so that one whose signal had fired before goes as cancelled.
    queueMicrotask(() => {
      if (!this.#open.has(fail)) return
      const key = stickyKey === undefined ? {} : { stickyKey }
      try {
        this.#tell({ type: 'submit', request, ...key, port: port2, isCancelled }, port2)
      } catch (error) {
        hear({ type: 'error', error: toWireError(error, 'bad_request') }) // something that cannot be cloned
      }
    })
    return () => {
      isCancelled = true
      port1.postMessage({ type: 'cancel' } satisfies RequestCommand)
    }
  }

  #take(event: GrantEvent): void {
    if (event.type === 'revoked')
      return this.#stop(
        new EngineError('not_allowed', 'The page took its grant back. Ask it for another one.'),
      )
    this.#calls.get(event.call)?.(event.answer)
    this.#calls.delete(event.call)
  }

  #tell(command: GrantCommand, ...transfer: Transferable[]): void {
    this.#port.postMessage(command, transfer)
  }

  #stop(reason: EngineError): void {
    if (this.#end !== undefined) return
    this.#end = reason
    for (const fail of this.#open) fail(reason)
    for (const settle of this.#calls.values()) settle({ ok: false, error: reason.toWire() })
    this.#calls.clear()
    this.#port.close()
  }
}

/** Makes a client of a port that another page granted, through `client.grant`. */
export function connect(port: MessagePort): GrantedClient {
  return new GrantedClient(port)
}
