import { Counters } from '@tabserve/engine'
import type { ModelStats } from '@tabserve/protocol'

/** What a model without a replica has done. */
export function emptyStats(): ModelStats {
  return new Counters().snapshot({
    running: 0,
    waiting: 0,
    rows: 0,
    kvUsage: 0,
    kvBytes: 0,
    preemptions: 0,
  })
}

/** What of the figures lasts when whoever gave them is gone: the counters. */
export function countersOf({ blocks: _, ...stats }: ModelStats): ModelStats {
  return { ...stats, running: 0, waiting: 0, rows: 0, kvUsage: 0, kvBytes: 0 }
}

/** Of two replicas together: numbers are added, however deep they lie, but for the bounds of histograms, which are the same, and for the time of the last request; `kvUsage` is of all their rows. */
export function sumStats(one: ModelStats, other: ModelStats): ModelStats {
  const rows = one.rows + other.rows
  const used = one.kvUsage * one.rows + other.kvUsage * other.rows
  return {
    ...(add(one, other) as ModelStats),
    kvUsage: rows === 0 ? 0 : used / rows,
    lastRequestMs: Math.max(one.lastRequestMs, other.lastRequestMs),
  }
}

function add(one: unknown, other: unknown): unknown {
  if (one === undefined || other === undefined) return one ?? other
  if (typeof one === 'number' && typeof other === 'number') return one + other
  if (Array.isArray(one) && Array.isArray(other))
    return Array.from({ length: Math.max(one.length, other.length) }, (_, at) => add(one[at], other[at]))
  const [left, right] = [one as Record<string, unknown>, other as Record<string, unknown>]
  const keys = new Set([...Object.keys(left), ...Object.keys(right)])
  return Object.fromEntries(
    [...keys].map((key) => [key, key === 'bounds' ? left[key] : add(left[key], right[key])]),
  )
}
