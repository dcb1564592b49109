import type { GenerateRequest, Request, RequestEvent, ServedBy } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { AliasRoute, AliasTable } from './alias-table.ts'
import type { FallbackOptions } from './fallback.ts'
import { fallbackCondition } from './fallback.ts'
import type { ModelDirectory } from './model-directory.ts'
import type { ModelHost } from './model-host.ts'
import type { RemoteTraffic } from './remote-traffic.ts'
import type { VersionReport } from './version-metrics.ts'
import type { VersionTraffic } from './version-traffic.ts'

/** Asks a server in place of a version. Returns how to cancel. */
export type AskRemote = (
  fallback: FallbackOptions,
  request: GenerateRequest,
  take: (event: RequestEvent) => void,
) => () => void

/** Who hears what becomes of a request. */
export interface Listener {
  /** Comes before the first event, and again where a server answers in place of the version. */
  servedBy(server: ServedBy): void
  take(event: RequestEvent): void
}

interface Ports {
  readonly host: ModelHost
  readonly directory: ModelDirectory
  readonly aliases: AliasTable
  readonly traffic: VersionTraffic
  readonly remote: RemoteTraffic
  readonly askRemote: AskRemote
}

/** Sends each request to the version that its name stands for, a copy to the shadow, and to a server what cannot be answered here and may go there. */
export class Dispatcher {
  readonly #ports: Ports

  constructor(ports: Ports) {
    this.#ports = ports
  }

  /** Every event goes to `listener`, exactly one last word among them. Returns how to cancel. */
  submit(request: Request, stickyKey: string | undefined, listener: Listener): () => void {
    const { aliases, directory } = this.#ports
    if (stickyKey !== undefined && typeof stickyKey !== 'string')
      throw new EngineError('bad_request', `stickyKey ${String(stickyKey)} must be a string.`)
    const route = aliases.route(request.model, stickyKey)
    if (route === undefined) {
      const model = directory.resolve(request.model)
      listener.servedBy({ where: 'local', model })
      return this.#submitLocal({ ...request, model }, 'live', listener.take)
    }
    listener.servedBy({ where: 'local', model: route.model, alias: request.model })
    const cancelShadow = this.#submitShadow(request, route.shadow)
    const cancel = this.#submitRouted(request, route, listener)
    return () => {
      cancelShadow()
      cancel()
    }
  }

  #submitRouted(request: Request, route: AliasRoute, listener: Listener): () => void {
    const { model, fallback } = route
    const local = { ...request, model }
    // Servers are asked for text only.
    if (fallback === undefined || local.task !== 'generate' || request.task !== 'generate')
      return this.#submitLocal(local, 'live', listener.take)
    let hasBegun = false
    let isCancelled = false
    let cancelRemote: (() => void) | undefined
    const cancelLocal = this.#submitLocal(local, 'live', (event) => {
      const reason =
        event.type === 'error' && !hasBegun && !isCancelled
          ? this.#fallbackReason(fallback, local, EngineError.fromWire(event.error))
          : undefined
      hasBegun = true
      if (reason === undefined) return listener.take(event)
      const { url, model } = fallback
      const server = { where: 'remote', model, alias: request.model, url, reason } as const
      listener.servedBy(server)
      const metrics = this.#ports.remote.begin(server)
      cancelRemote = this.#ports.askRemote(fallback, request, (event) => {
        metrics.take(event)
        listener.take(event)
      })
    })
    return () => {
      isCancelled = true
      ;(cancelRemote ?? cancelLocal)()
    }
  }

  #fallbackReason(fallback: FallbackOptions, request: GenerateRequest, error: EngineError) {
    return fallbackCondition(fallback, request, error, this.#ports.directory.failure(request.model))
  }

  /** Behind the real ones: a shadow must not make anybody wait. */
  #submitShadow(request: Request, model: string | undefined): () => void {
    if (model === undefined) return () => {}
    const { priority = 0 } = request
    const behind = { ...request, model, priority: priority + 1 }
    // A sequence's state is of one version; what has moved to the real one cannot go to another.
    if (request.task !== 'generate' && request.sequence !== undefined) return () => {}
    const shadow: Request =
      behind.task === 'generate'
        ? { ...behind, ...shadowId(behind), preempt: false }
        : { ...behind, ...shadowId(behind), transfer: false }
    return this.#submitLocal(shadow, 'shadow', () => {})
  }

  #submitLocal(
    request: Request,
    kind: VersionReport['traffic'],
    take: (event: RequestEvent) => void,
  ): () => void {
    const { host, traffic } = this.#ports
    const metrics = traffic.begin(request.model, kind)
    return host.submit(request, (event) => {
      metrics.take(event)
      take(event)
      if (event.type !== 'delta') traffic.ended()
    })
  }
}

/** Telemetry tells it from the real one. */
function shadowId({ requestId }: Request): Pick<Request, 'requestId'> {
  return requestId === undefined ? {} : { requestId: `${requestId}~shadow` }
}
