import type { CountAndMs, Distribution, ModelInfo, ModelStats, OneShotStats } from '@tabserve/protocol'
import { batchTotals } from '../../telemetry/batch-totals.ts'
import type { BatchStatistics, DurationStat, ModelStatistics } from './shapes.ts'

export function modelStatistics(info: ModelInfo, stats: ModelStats): ModelStatistics {
  if (stats.oneShot !== undefined) return oneShotStatistics(info, stats, stats.oneShot)
  const { manifest, choice, heapBytes = 0 } = info
  const { queueMs, totalMs } = stats.requests
  const { passes, rows, inputMs, inferMs, outputMs } = batchTotals(stats)
  return {
    name: manifest.name,
    version: manifest.version,
    last_inference: Math.round(stats.lastRequestMs),
    inference_count: rows,
    execution_count: passes,
    inference_stats: {
      success: durationOf(totalMs),
      fail: { count: stats.failed + stats.refused, ns: nanoseconds(stats.failedMs) },
      queue: durationOf(queueMs),
      compute_input: { count: passes, ns: nanoseconds(inputMs) },
      compute_infer: { count: passes, ns: nanoseconds(inferMs) },
      compute_output: { count: passes, ns: nanoseconds(outputMs) },
      cache_hit: { count: stats.cachedTokens, ns: 0 },
      cache_miss: { count: stats.promptTokens - stats.cachedTokens, ns: 0 },
    },
    batch_stats: batchesOf(stats),
    memory_usage: [
      { type: choice.device === 'webgpu' ? 'GPU' : 'CPU', id: 0, byte_size: heapBytes + stats.kvBytes },
    ],
  }
}

function oneShotStatistics(
  { manifest, choice, heapBytes = 0 }: ModelInfo,
  { failed, failedMs, refused, lastRequestMs }: ModelStats,
  stats: OneShotStats,
): ModelStatistics {
  const sumOf = ({ count, ms }: CountAndMs): DurationStat => ({ count, ns: nanoseconds(ms) })
  const { name, version } = manifest
  const none = { count: 0, ns: 0 }
  return {
    name,
    version,
    last_inference: Math.round(lastRequestMs),
    inference_count: stats.rows,
    execution_count: stats.infer.count,
    inference_stats: {
      success: sumOf(stats.total),
      fail: { count: failed + refused, ns: nanoseconds(failedMs) },
      queue: sumOf(stats.queue),
      compute_input: sumOf(stats.preprocess),
      compute_infer: sumOf(stats.infer),
      compute_output: sumOf(stats.postprocess),
      cache_hit: sumOf(stats.cacheHit),
      cache_miss: sumOf(stats.cacheMiss),
    },
    batch_stats: Object.entries(stats.batches).map(([size, sum]) => ({
      batch_size: Number(size),
      compute_input: none,
      compute_infer: sumOf(sum),
      compute_output: none,
    })),
    memory_usage: [{ type: choice.device === 'webgpu' ? 'GPU' : 'CPU', id: 0, byte_size: heapBytes }],
  }
}

function batchesOf({ batches }: ModelStats): BatchStatistics[] {
  return Object.entries(batches).map(([size, { count, inputMs, inferMs, outputMs }]) => ({
    batch_size: Number(size),
    compute_input: { count, ns: nanoseconds(inputMs) },
    compute_infer: { count, ns: nanoseconds(inferMs) },
    compute_output: { count, ns: nanoseconds(outputMs) },
  }))
}

function durationOf({ count, sum }: Distribution): DurationStat {
  return { count, ns: nanoseconds(sum) }
}

function nanoseconds(ms: number): number {
  return Math.round(ms * 1e6)
}
