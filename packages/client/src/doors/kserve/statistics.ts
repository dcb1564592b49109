import type { CountAndMs, Distribution, ModelInfo, ModelStats, OneShotStats } from '@tabserve/protocol'
import type { DurationStat, ModelStatistics } from './shapes.ts'

export function modelStatistics({ manifest }: ModelInfo, stats: ModelStats): ModelStatistics {
  if (stats.oneShot !== undefined) return oneShotStatistics(manifest, stats, stats.oneShot)
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
    batch_stats: [],
  }
}

function oneShotStatistics(
  { name, version }: ModelInfo['manifest'],
  { failed, refused }: ModelStats,
  stats: OneShotStats,
): ModelStatistics {
  const sumOf = ({ count, ms }: CountAndMs): DurationStat => ({ count, ns: nanoseconds(ms) })
  return {
    name,
    version,
    inference_count: stats.rows,
    execution_count: stats.infer.count,
    inference_stats: {
      success: sumOf(stats.total),
      fail: { count: failed + refused, ns: 0 },
      queue: sumOf(stats.queue),
      compute_input: sumOf(stats.preprocess),
      compute_infer: sumOf(stats.infer),
      compute_output: sumOf(stats.postprocess),
      cache_hit: { count: stats.cache.hits, ns: 0 },
      cache_miss: { count: stats.cache.misses, ns: 0 },
    },
    batch_stats: Object.entries(stats.batches).map(([size, sum]) => ({
      batch_size: Number(size),
      compute_infer: sumOf(sum),
    })),
  }
}

function durationOf({ count, sum }: Distribution): DurationStat {
  return { count, ns: nanoseconds(sum) }
}

function nanoseconds(ms: number): number {
  return Math.round(ms * 1e6)
}
