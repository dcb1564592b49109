import type { DeltaEvent, FallbackCondition, ServedBy } from '@tabserve/protocol'
import type { Quantiles, RequestMetrics } from './version-metrics.ts'
import { VersionMetrics } from './version-metrics.ts'

/** A server that answers in place of a version, for an alias. */
type Remote = Extract<ServedBy, { where: 'remote' }>

/** What one server has done for the requests of one alias. Its tokens are not told apart: `interTokenMs` is between two pieces of text. */
export interface RemoteReport {
  readonly alias: string
  /** As the server calls it. */
  readonly model: string
  readonly url: string
  readonly inFlight: number
  readonly requests: number
  readonly errors: number
  /** Requests by why they went there, those under way included. */
  readonly reasons: Readonly<Partial<Record<FallbackCondition, number>>>
  /** From when the server was asked. */
  readonly ttftMs: Quantiles
  readonly interTokenMs: Quantiles
}

interface Entry extends Pick<RemoteReport, 'alias' | 'model' | 'url'> {
  readonly metrics: VersionMetrics
  readonly reasons: Map<FallbackCondition, number>
}

/** The metrics of the servers that were asked, by alias. */
export class RemoteTraffic {
  readonly #now: () => number
  readonly #entries = new Map<string, Entry>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** A request goes to a server: give its events to what this returns. */
  begin({ alias, model, url, reason }: Remote): RequestMetrics {
    const key = JSON.stringify([alias, model, url])
    const entry: Entry = this.#entries.get(key) ?? {
      ...{ alias, model, url },
      metrics: new VersionMetrics(this.#now, countPieces),
      reasons: new Map(),
    }
    this.#entries.set(key, entry)
    entry.reasons.set(reason, (entry.reasons.get(reason) ?? 0) + 1)
    return entry.metrics.begin()
  }

  reports(): RemoteReport[] {
    return [...this.#entries.values()].map(({ metrics, reasons, ...server }) => ({
      ...server,
      ...metrics.report(),
      reasons: Object.fromEntries(reasons),
    }))
  }
}

/** Servers send no token ids. */
function countPieces({ text }: DeltaEvent): number {
  return text === '' ? 0 : 1
}
