import type { Endpoint, Remote } from 'comlink'
import { expose, releaseProxy, transfer, wrap } from 'comlink'
import type { Answer, Request } from '@tabserve/protocol'
import { EngineError, buffersOf, unpack } from '@tabserve/protocol'

/**
 * Calls across to another thread or tab, and the knowledge of whether it lives: the door to Comlink, whose calls never settle when the other side
 * dies. Here they reject with `engine_lost`, at once.
 */
export class Link<Api> {
  readonly #api: Remote<Api>
  readonly #listeners = new Set<(error: EngineError) => void>()
  #death: EngineError | undefined

  constructor(endpoint: Endpoint) {
    this.#api = wrap<Api>(endpoint)
  }

  get alive(): boolean {
    return this.#death === undefined
  }

  /** Calls the other side and takes its answer apart. Throws what it answers, or `engine_lost`. */
  async call<T>(method: (api: Remote<Api>) => Promise<Answer<T>>): Promise<T> {
    return unpack(await this.ask(method))
  }

  /** As `call`, for answers that are plain values. Throws a `DataCloneError` when an argument cannot be cloned. */
  async ask<T>(method: (api: Remote<Api>) => Promise<T>): Promise<T> {
    if (this.#death !== undefined) throw this.#death
    let stop = () => {}
    const death = new Promise<never>((_, reject) => (stop = this.onDeath(reject)))
    try {
      return await Promise.race([method(this.#api), death])
    } finally {
      stop()
    }
  }

  /** Calls `listener` once when the other side dies, at once when it is dead. Returns how to stop listening. */
  onDeath(listener: (error: EngineError) => void): () => void {
    if (this.#death === undefined) this.#listeners.add(listener)
    else listener(this.#death)
    return () => this.#listeners.delete(listener)
  }

  /** Says that the other side is gone: everything that waits for it fails with this error. The second time it does nothing. */
  die(error: EngineError): void {
    if (this.#death !== undefined) return
    this.#death = error
    for (const listener of this.#listeners) listener(error)
    this.#listeners.clear()
  }

  /** Lets go of the endpoint. Only where the other side still reads it: a dead one is not told. */
  release(): void {
    this.#api[releaseProxy]()
  }
}

/** A port that moves to the other side with the call that it is an argument of. */
export function handOver(port: MessagePort): MessagePort {
  return transfer(port, [port])
}

/** A request whose tensors move to the other side with it, where it says so; what moved is empty here. */
export function handOverTensors<Asked extends Request>(request: Asked): Asked {
  if (request.task !== 'infer' || request.transfer !== true) return request
  return transfer(request, buffersOf(request.inputs))
}

/** Answers the calls that come on a port. Only for pages and workers of this origin: Comlink lets its caller do anything with what is exposed. */
export function serveCalls<Api>(api: Api, port: MessagePort): void {
  expose(api, port)
}
