import type { RequestMetrics, VersionReport } from './version-metrics.ts'
import { VersionMetrics } from './version-metrics.ts'

/** The metrics of every version that was asked, live and shadow traffic apart, and who is still being answered. */
export class VersionTraffic {
  readonly #now: () => number
  readonly #metrics = new Map<string, Readonly<Record<VersionReport['traffic'], VersionMetrics>>>()
  readonly #listeners = new Set<() => void>()

  constructor(now: () => number) {
    this.#now = now
  }

  begin(id: string, traffic: VersionReport['traffic']): RequestMetrics {
    return this.#of(id)[traffic].begin()
  }

  live(id: string): VersionMetrics {
    return this.#of(id).live
  }

  inFlight(id: string): number {
    const { live, shadow } = this.#of(id)
    return live.inFlight + shadow.inFlight
  }

  /** Resolves when no request of a version is under way. */
  whenIdle(id: string): Promise<void> {
    return new Promise((resolve) => {
      const look = () => {
        if (this.inFlight(id) > 0) return
        stop()
        resolve()
      }
      const stop = this.listen(look)
      look()
    })
  }

  /** Calls `listener` whenever a request has ended. Returns how to stop that. */
  listen(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** To be called behind a request's last word. */
  ended(): void {
    for (const listener of this.#listeners) listener()
  }

  reports(): VersionReport[] {
    return [...this.#metrics].flatMap(([model, { live, shadow }]) => [
      { model, traffic: 'live' as const, ...live.report() },
      { model, traffic: 'shadow' as const, ...shadow.report() },
    ])
  }

  #of(id: string): Readonly<Record<VersionReport['traffic'], VersionMetrics>> {
    const known = this.#metrics.get(id)
    if (known !== undefined) return known
    const fresh = { live: new VersionMetrics(this.#now), shadow: new VersionMetrics(this.#now) }
    this.#metrics.set(id, fresh)
    return fresh
  }
}
