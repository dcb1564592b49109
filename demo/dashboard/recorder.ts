import type { RequestEndEvent, StepEvent, TelemetryEvent } from 'tabserve'

/** What the last seconds are judged by. */
const WINDOW_MS = 5000
/** After so long everything is told. */
const TOLD_MS = 500

interface Seen {
  readonly atMs: number
  readonly value: number
}

/** One finished request and the forward passes that ran meanwhile. */
export interface Trace {
  readonly end: RequestEndEvent
  readonly steps: readonly StepEvent[]
}

/** Listens to a client's telemetry and keeps what the page shows of it: counts from the start, and samples of the last seconds. */
export class Recorder {
  readonly #ttft: Seen[] = []
  readonly #gaps: Seen[] = []
  readonly #rows: Seen[] = []
  readonly #tokens: Seen[] = []
  readonly #ends: { readonly atMs: number; readonly model: string; readonly failed: boolean }[] = []
  /** When each open request was asked, or had its last text. */
  readonly #open = new Map<string, { readonly atMs: number; readonly hasBegun: boolean }>()
  readonly #steps: StepEvent[] = []
  /** The last requests whose whole story is known. */
  readonly #traced: RequestEndEvent[] = []
  readonly #onNews: (event: TelemetryEvent) => void
  numTokens = 0
  numDone = 0
  numFailed = 0
  numRestarts = 0
  /** Which worker made a model ready last, as events call it. */
  lastServing: string | undefined

  /** @param onNews hears what is rare enough to be read. */
  constructor(onNews: (event: TelemetryEvent) => void) {
    this.#onNews = onNews
  }

  take(event: TelemetryEvent): void {
    switch (event.type) {
      case 'request-start':
        this.#open.set(event.id, { atMs: event.timeMs, hasBegun: false })
        return
      case 'request-tokens':
        return this.#takeTokens(event.id, event.timeMs, event.numTokens)
      case 'request-end':
        return this.#takeEnd(event)
      case 'step':
        this.#rows.push({ atMs: event.timeMs, value: event.rows })
        this.#steps.push(event)
        if (this.#steps.length > 2000) this.#steps.shift()
        return
      case 'worker-restart':
        this.numRestarts++
        return this.#onNews(event)
      case 'model-ready':
        this.lastServing = event.worker
        return this.#onNews(event)
      case 'route':
      case 'request-queued':
      case 'request-scheduled':
      case 'request-first-token':
      case 'request-preempted':
        return
      default:
        return this.#onNews(event)
    }
  }

  /** Of the last seconds; `undefined` of none. */
  ttftMs(share: number): number | undefined {
    return percentile(recent(this.#ttft), share)
  }

  interTokenMs(share: number): number | undefined {
    return percentile(recent(this.#gaps), share)
  }

  /** Answers in a forward pass, on average. */
  occupancy(): number | undefined {
    const rows = recent(this.#rows)
    return rows.length === 0 ? undefined : rows.reduce((sum, { value }) => sum + value, 0) / rows.length
  }

  /** The last request whose forward passes have all been told: workers tell of them on a port of their own. */
  lastTrace(): Trace | undefined {
    const until = performance.timeOrigin + performance.now() - TOLD_MS
    const end = this.#traced.findLast(({ timeMs }) => timeMs <= until)
    if (end === undefined) return undefined
    const steps = this.#steps.filter(
      ({ model, timeMs, ms }) => model === end.model && timeMs >= end.arrivalMs && timeMs - ms <= end.timeMs,
    )
    return { end, steps }
  }

  /** Tokens a second. */
  tokenRate(): number {
    return (1000 * recent(this.#tokens).reduce((sum, { value }) => sum + value, 0)) / WINDOW_MS
  }

  /** Requests a second, of one version or of all. */
  doneRate(model?: string): number {
    return (
      recent(this.#ends).filter((end) => !end.failed && (model === undefined || end.model === model)).length /
      (WINDOW_MS / 1000)
    )
  }

  failureRate(): number {
    return recent(this.#ends).filter(({ failed }) => failed).length / (WINDOW_MS / 1000)
  }

  #takeTokens(id: string, atMs: number, numTokens: number): void {
    const last = this.#open.get(id)
    if (last?.hasBegun === false) this.#ttft.push({ atMs, value: atMs - last.atMs })
    else if (last !== undefined && numTokens > 0)
      this.#gaps.push({ atMs, value: (atMs - last.atMs) / numTokens })
    this.#open.set(id, { atMs, hasBegun: true })
    this.#tokens.push({ atMs, value: numTokens })
    this.numTokens += numTokens
  }

  #takeEnd(end: RequestEndEvent): void {
    this.#open.delete(end.id)
    const failed = end.error !== undefined
    if (failed) this.numFailed++
    else this.numDone++
    this.#ends.push({ atMs: end.timeMs, model: end.model, failed })
    if (end.queuedMs === undefined || end.firstTokenMs === undefined) return
    this.#traced.push(end)
    if (this.#traced.length > 100) this.#traced.shift()
  }
}

/** Drops what is too old, in place, and gives the rest. */
function recent<T extends { readonly atMs: number }>(seen: T[]): readonly T[] {
  const since = performance.timeOrigin + performance.now() - WINDOW_MS
  const first = seen.findIndex(({ atMs }) => atMs >= since)
  seen.splice(0, first < 0 ? seen.length : first)
  return seen
}

function percentile(seen: readonly Seen[], share: number): number | undefined {
  const sorted = seen.map(({ value }) => value).sort((one, other) => one - other)
  return sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))]
}
