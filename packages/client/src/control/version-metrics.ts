import type { DeltaEvent, ErrorCode, RequestEvent } from '@tabserve/protocol'
import { percentile } from './percentile.ts'

/** What the requests of one version have seen since some moment. Milliseconds, on the page's clock. */
export interface TrafficWindow {
  /** Requests that ended with a `finish` or with a failure that is not the caller's. */
  readonly ended: number
  readonly errors: number
  /** The codes of `errors`, the most frequent first. */
  readonly codes: readonly ErrorCode[]
  readonly ttftMs: readonly number[]
  readonly interTokenMs: readonly number[]
  /** How long the requests under way have waited: for their first token, and for their next one. */
  readonly waitingFirstMs: readonly number[]
  readonly waitingNextMs: readonly number[]
}

/** What one version has done for its requests since it was first asked. */
export interface VersionReport {
  /** `name@version`. */
  readonly model: string
  /** `shadow`: requests whose answers were thrown away. */
  readonly traffic: 'live' | 'shadow'
  readonly inFlight: number
  readonly requests: number
  readonly errors: number
  readonly ttftMs: Quantiles
  readonly interTokenMs: Quantiles
}

/** Of the last thousand; `undefined` of none. */
export interface Quantiles {
  readonly p50: number | undefined
  readonly p95: number | undefined
}

/** Samples kept of each kind: enough for a p99, little enough to sort at every check. */
const MOST_SAMPLES = 1024
/** Mistakes of the caller, which say nothing about a version. */
const CALLERS: readonly ErrorCode[] = ['bad_request', 'context_overflow', 'aborted']

interface Sample<T = number> {
  readonly at: number
  readonly value: T
}

/** Listens to the requests of one version. */
export class VersionMetrics {
  readonly #now: () => number
  readonly #countOf: (delta: DeltaEvent) => number
  readonly #running = new Set<RequestMetrics>()
  readonly #outcomes: Sample<ErrorCode | 'finish'>[] = []
  readonly #ttft: Sample[] = []
  readonly #interToken: Sample[] = []
  #requests = 0
  #errors = 0

  /** @param countOf how many pieces an answer has grown by: tokens, where they are told. */
  constructor(now: () => number, countOf: (delta: DeltaEvent) => number = ({ tokens }) => tokens.length) {
    this.#now = now
    this.#countOf = countOf
  }

  get inFlight(): number {
    return this.#running.size
  }

  /** A request goes to the version: give its events to what this returns. */
  begin(): RequestMetrics {
    const request: RequestMetrics = new RequestMetrics(this.#now, this.#countOf, {
      ttft: (ms) => this.#keep(this.#ttft, ms),
      interToken: (ms) => this.#keep(this.#interToken, ms),
      end: (outcome) => {
        this.#running.delete(request)
        if (outcome !== 'finish' && CALLERS.includes(outcome)) return
        this.#requests++
        if (outcome !== 'finish') this.#errors++
        this.#keep(this.#outcomes, outcome)
      },
    })
    this.#running.add(request)
    return request
  }

  since(moment: number): TrafficWindow {
    const after = <T>(samples: readonly Sample<T>[]) =>
      samples.filter(({ at }) => at >= moment).map(({ value }) => value)
    const outcomes = after(this.#outcomes)
    const errors = outcomes.filter((outcome) => outcome !== 'finish')
    const running = [...this.#running]
    return {
      ended: outcomes.length,
      errors: errors.length,
      codes: byFrequency(errors),
      ttftMs: after(this.#ttft),
      interTokenMs: after(this.#interToken),
      waitingFirstMs: running.filter(({ hasBegun }) => !hasBegun).map(({ waitedMs }) => waitedMs),
      waitingNextMs: running.filter(({ hasBegun }) => hasBegun).map(({ waitedMs }) => waitedMs),
    }
  }

  report(): Omit<VersionReport, 'model' | 'traffic'> {
    const { ttftMs, interTokenMs } = this.since(-Infinity)
    const quantiles = (values: readonly number[]) => ({
      p50: percentile(values, 0.5),
      p95: percentile(values, 0.95),
    })
    return {
      inFlight: this.inFlight,
      requests: this.#requests,
      errors: this.#errors,
      ttftMs: quantiles(ttftMs),
      interTokenMs: quantiles(interTokenMs),
    }
  }

  #keep<T>(samples: Sample<T>[], value: T): void {
    samples.push({ at: this.#now(), value })
    if (samples.length > MOST_SAMPLES) samples.shift()
  }
}

interface Listener {
  ttft(ms: number): void
  interToken(ms: number): void
  end(outcome: ErrorCode | 'finish'): void
}

/** One request's times. */
export class RequestMetrics {
  readonly #now: () => number
  readonly #countOf: (delta: DeltaEvent) => number
  readonly #listener: Listener
  /** When it was sent, then when its last token came. */
  #last: number
  #hasEnded = false
  hasBegun = false

  constructor(now: () => number, countOf: (delta: DeltaEvent) => number, listener: Listener) {
    this.#now = now
    this.#countOf = countOf
    this.#listener = listener
    this.#last = now()
  }

  get waitedMs(): number {
    return this.#now() - this.#last
  }

  take(event: RequestEvent): void {
    if (this.#hasEnded) return
    if (event.type !== 'delta') {
      this.#hasEnded = true
      // The one answer is the first that there is to wait for.
      if (event.type === 'result') this.#listener.ttft(this.waitedMs)
      this.#listener.end(event.type === 'error' ? event.error.code : 'finish')
    } else {
      const count = this.#countOf(event)
      if (count === 0) return
      if (this.hasBegun) this.#listener.interToken(this.waitedMs / count)
      else this.#listener.ttft(this.waitedMs)
      this.hasBegun = true
      this.#last = this.#now()
    }
  }
}

function byFrequency<T>(values: readonly T[]): T[] {
  const counts = new Map<T, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return [...counts].sort(([, one], [, other]) => other - one).map(([value]) => value)
}
