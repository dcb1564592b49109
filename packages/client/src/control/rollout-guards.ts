import { EngineError } from '@tabserve/protocol'
import { percentile } from './percentile.ts'
import type { TrafficWindow } from './version-metrics.ts'

/** What the new version must keep to. Latencies are judged at the 95th percentile, on the page's clock. */
export interface RolloutGuards {
  /** Largest share of failed requests, 0 to 1; mistakes of the caller are not counted. Default 0.05. */
  readonly errorRate?: number
  /** Longest time to the first token, milliseconds. Default: any. */
  readonly ttftMs?: number
  /** Longest time between two tokens, milliseconds. Default: any. */
  readonly interTokenMs?: number
  /** The same two as multiples of the old version's. Default: any. */
  readonly ttftRatio?: number
  readonly interTokenRatio?: number
  /** Nothing is judged, and no step is left, before the new version has ended this many requests in the step. Default 5. */
  readonly minRequests?: number
}

const ERROR_RATE = 0.05
const MIN_REQUESTS = 5
/** A limit on the 95th percentile: so much may lie above it. */
const TAIL = 0.05

/** Says which guard the new version breaks, with figures; `undefined` where it keeps to all, or where too little is known. */
export function brokenGuard(
  guards: RolloutGuards,
  fresh: TrafficWindow,
  old: TrafficWindow,
): string | undefined {
  return errorRateProblem(guards, fresh) ?? latencyProblem(guards, fresh, old)
}

export function minRequestsOf({ minRequests = MIN_REQUESTS }: RolloutGuards): number {
  return minRequests
}

/** Throws `bad_request`. */
export function checkGuards(guards: RolloutGuards): void {
  for (const [name, value] of Object.entries(guards)) {
    if (!Object.hasOwn(RANGES, name)) throw new EngineError('bad_request', `guards has no option ${name}.`)
    const [from, to] = RANGES[name as keyof RolloutGuards]
    if (!(typeof value === 'number' && value >= from && value <= to))
      throw new EngineError(
        'bad_request',
        `guards.${name} ${String(value)} must be a number from ${from} to ${to}.`,
      )
  }
}

const RANGES: Readonly<Record<keyof RolloutGuards, readonly [from: number, to: number]>> = {
  errorRate: [0, 1],
  ttftMs: [0, Infinity],
  interTokenMs: [0, Infinity],
  ttftRatio: [0, Infinity],
  interTokenRatio: [0, Infinity],
  minRequests: [0, Infinity],
}

function errorRateProblem(guards: RolloutGuards, fresh: TrafficWindow): string | undefined {
  const { errorRate = ERROR_RATE } = guards
  if (fresh.ended === 0 || fresh.ended < minRequestsOf(guards)) return undefined
  if (fresh.errors / fresh.ended <= errorRate) return undefined
  return `error rate: ${fresh.errors} of ${fresh.ended} requests failed (${fresh.codes.join(', ')}), allowed are ${percent(errorRate)}`
}

function latencyProblem(guards: RolloutGuards, fresh: TrafficWindow, old: TrafficWindow): string | undefined {
  const numRequests = fresh.ttftMs.length + fresh.waitingFirstMs.length
  if (numRequests < minRequestsOf(guards)) return undefined
  return (
    slow(
      'time to first token',
      fresh.ttftMs,
      fresh.waitingFirstMs,
      limits(guards.ttftMs, guards.ttftRatio, old.ttftMs),
    ) ??
    slow(
      'inter-token latency',
      fresh.interTokenMs,
      fresh.waitingNextMs,
      limits(guards.interTokenMs, guards.interTokenRatio, old.interTokenMs),
    )
  )
}

interface Limit {
  readonly ms: number
  readonly words: string
}

function limits(ms: number | undefined, ratio: number | undefined, old: readonly number[]): Limit[] {
  const oldMs = percentile(old, 1 - TAIL)
  return [
    ...(ms === undefined ? [] : [{ ms, words: `${figure(ms)} ms` }]),
    ...(ratio === undefined || oldMs === undefined
      ? []
      : [{ ms: ratio * oldMs, words: `${ratio} × the old version's ${figure(oldMs)} ms` }]),
  ]
}

/** A wait that is not over counts only once it is too long: so one that never ends is found, and one that has just begun is no praise. */
function slow(
  what: string,
  times: readonly number[],
  waits: readonly number[],
  bounds: readonly Limit[],
): string | undefined {
  for (const { ms, words } of bounds) {
    const late = waits.filter((wait) => wait > ms)
    const known = [...times, ...late]
    const numSlow = known.filter((time) => time > ms).length
    if (numSlow <= TAIL * known.length) continue
    const least = late.length > 0 ? '≥ ' : '' // they wait still
    return `${what}: p95 ${least}${figure(percentile(known, 1 - TAIL) ?? ms)} ms, allowed are ${words}`
  }
  return undefined
}

function percent(share: number): string {
  return `${figure(100 * share)} %`
}

function figure(value: number): string {
  return String(Math.round(10 * value) / 10)
}
