import type {
  Answer,
  GenerateRequest,
  GrantCommand,
  GrantEvent,
  GrantedModel,
  HubApi,
  Request,
} from '@tabserve/protocol'
import { EngineError, unpack } from '@tabserve/protocol'
import type { GenerateOptions } from '../client-options.ts'
import type { Generation } from '../generation.ts'
import { Flights } from '../hub/flights.ts'
import { startGeneration } from '../start-generation.ts'

type Call =
  | { readonly type: 'list' }
  | { readonly type: 'cancel'; readonly id: string }
  | {
      readonly type: 'submit'
      readonly id: string
      readonly request: Request
      readonly port: MessagePort
      readonly isCancelled: boolean
    }

/** What the holder of a granted port can do: ask the models that it was granted. */
export class GrantedClient {
  readonly #port: MessagePort
  readonly #calls = new Map<number, (answer: Answer<unknown>) => void>()
  readonly #flights: Flights
  #numCalls = 0
  /** Why nothing can be asked any more. */
  #end: EngineError | undefined

  constructor(port: MessagePort) {
    this.#port = port
    const api: Pick<HubApi, 'submit' | 'cancel'> = {
      submit: (request, port, id, isCancelled) =>
        this.#call<null>({ type: 'submit', request, port, id, isCancelled }, port),
      cancel: (id) => this.#call<null>({ type: 'cancel', id }),
    }
    this.#flights = new Flights({ call: async (method) => unpack(await method(api)) })
    port.onmessage = ({ data }: MessageEvent<GrantEvent>) => this.#take(data)
    port.addEventListener('close', () =>
      this.#stop(new EngineError('not_allowed', 'The page that granted is gone.')),
    )
  }

  /** The models that may be asked. Rejects with `not_allowed` once the grant is revoked. */
  async list(): Promise<readonly GrantedModel[]> {
    return unpack(await this.#call<readonly GrantedModel[]>({ type: 'list' }))
  }

  /** As `Client.generate`, without aliases. */
  generate({ signal, ...options }: Omit<GenerateOptions, 'stickyKey'>): Generation {
    const request: GenerateRequest = { task: 'generate', ...options }
    return startGeneration(signal, ({ servedBy, take }) => {
      servedBy({ where: 'local', model: request.model })
      return this.#flights.submit(request, take)
    })
  }

  /** Gives the right back; running requests end with `not_allowed`. */
  close(): void {
    this.#stop(new EngineError('not_allowed', 'The granted port was closed.'))
  }

  #take(event: GrantEvent): void {
    if (event.type === 'revoked')
      return this.#stop(
        new EngineError('not_allowed', 'The page took its grant back. Ask it for another one.'),
      )
    this.#calls.get(event.call)?.(event.answer)
    this.#calls.delete(event.call)
  }

  #call<T>(call: Call, ...transfer: Transferable[]): Promise<Answer<T>> {
    if (this.#end !== undefined) return Promise.resolve({ ok: false, error: this.#end.toWire() })
    const command: GrantCommand = { ...call, call: this.#numCalls++ }
    return new Promise((resolve) => {
      this.#port.postMessage(command, transfer)
      // The page answers each call with what that call gives.
      this.#calls.set(command.call, (answer) => resolve(answer as Answer<T>))
    })
  }

  #stop(reason: EngineError): void {
    if (this.#end !== undefined) return
    this.#end = reason
    this.#flights.failAll(reason)
    for (const settle of this.#calls.values()) settle({ ok: false, error: reason.toWire() })
    this.#calls.clear()
    this.#port.close()
  }
}

/** Makes a client of a port that another page granted, through `client.grant`. */
export function connect(port: MessagePort): GrantedClient {
  return new GrantedClient(port)
}
