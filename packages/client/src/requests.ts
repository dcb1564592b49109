import type { GenerateRequest } from '@tabserve/protocol'
import type { EngineError } from '@tabserve/protocol'
import type { GenerateOptions } from './client.ts'
import { Generation } from './generation.ts'
import type { FlightHost } from './hub/flight.ts'
import { Flight } from './hub/flight.ts'

/** The requests of one client that are under way. */
export class Requests {
  readonly #host: FlightHost
  readonly #flights = new Set<Flight>()
  #numRequests = 0
  #end: EngineError | undefined

  constructor(host: FlightHost) {
    this.#host = host
  }

  /** Starts one at once. */
  generate({ signal, ...options }: GenerateOptions): Generation {
    const request: GenerateRequest = { task: 'generate', ...options }
    const generation = new Generation(() => flight.cancel())
    const id = String(this.#numRequests++)
    const flight = new Flight(this.#host, request, id, (event) => generation.take(event))
    if (this.#end !== undefined) {
      flight.fail(this.#end)
      return generation
    }
    const cancel = () => flight.cancel()
    signal?.addEventListener('abort', cancel)
    this.#flights.add(flight)
    void flight.run().then(() => {
      signal?.removeEventListener('abort', cancel)
      this.#flights.delete(flight)
    })
    if (signal?.aborted === true) cancel()
    return generation
  }

  /** Ends them, and all that come, with this error; nothing is replayed. */
  failAll(error: EngineError): void {
    this.#end = error
    for (const flight of this.#flights) flight.fail(error)
  }
}
