import type { EngineError, Request, RequestEvent } from '@tabserve/protocol'
import type { FlightHost } from './flight.ts'
import { Flight } from './flight.ts'

/** The requests of one client that are under way. */
export class Flights {
  readonly #host: FlightHost
  readonly #flights = new Set<Flight>()
  #numRequests = 0
  #end: EngineError | undefined

  constructor(host: FlightHost) {
    this.#host = host
  }

  /** Starts one. `take` hears all events, exactly one last word among them. Returns how to cancel. */
  submit(request: Request, take: (event: RequestEvent) => void): () => void {
    const flight = new Flight(this.#host, request, String(this.#numRequests++), take)
    if (this.#end !== undefined) flight.fail(this.#end)
    this.#flights.add(flight)
    void flight.run().then(() => this.#flights.delete(flight))
    return () => flight.cancel()
  }

  /** Ends them, and all that come, with this error; nothing is replayed. */
  failAll(error: EngineError): void {
    this.#end = error
    for (const flight of this.#flights) flight.fail(error)
  }
}
