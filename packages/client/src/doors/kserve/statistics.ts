import type { Distribution, ModelInfo, ModelStats } from '@tabserve/protocol'
import type { DurationStat, ModelStatistics } from './shapes.ts'

export function modelStatistics({ manifest }: ModelInfo, stats: ModelStats): ModelStatistics {
  const { queueMs, prefillMs, decodeMs, totalMs } = stats.requests
  const infer = { count: prefillMs.count, ns: nanoseconds(prefillMs.sum + decodeMs.sum) }
  const steps = Object.values(stats.steps).reduce((sum, count) => sum + count, 0)
  return {
    name: manifest.name,
    version: manifest.version,
    inference_count: totalMs.count,
    execution_count: steps,
    inference_stats: {
      success: durationOf(totalMs),
      fail: { count: stats.failed + stats.refused, ns: 0 },
      queue: durationOf(queueMs),
      compute_infer: infer,
      cache_hit: { count: stats.cachedTokens, ns: 0 },
      cache_miss: { count: stats.promptTokens - stats.cachedTokens, ns: 0 },
    },
  }
}

function durationOf({ count, sum }: Distribution): DurationStat {
  return { count, ns: nanoseconds(sum) }
}

function nanoseconds(ms: number): number {
  return Math.round(ms * 1e6)
}
