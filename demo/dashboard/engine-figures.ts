import type { Metric } from 'tabserve'

/** What `client.metrics()` says, of all models together. */
export interface EngineFigures {
  readonly running: number
  readonly waiting: number
  readonly tokens: number
  readonly promptTokens: number
  readonly cachedTokens: number
  /** Share of the fullest KV cache that is in use. */
  readonly kvUsage: number
  readonly kvBytes: number
  readonly heapBytes: number
}

export function figuresOf(metrics: readonly Metric[]): EngineFigures {
  const values = (name: string, label?: readonly [string, string]) =>
    (metrics.find((metric) => metric.name === `tabserve:${name}`)?.samples ?? []).flatMap(
      ({ labels, value }) =>
        typeof value === 'number' && (label === undefined || labels[label[0]] === label[1]) ? [value] : [],
    )
  const sum = (...of: Parameters<typeof values>) => values(...of).reduce((sum, value) => sum + value, 0)
  return {
    running: sum('num_requests_running'),
    waiting: sum('num_requests_waiting'),
    tokens: sum('generation_tokens'),
    promptTokens: sum('prefix_cache_queries'),
    cachedTokens: sum('prefix_cache_hits'),
    kvUsage: Math.max(0, ...values('kv_cache_usage_perc')),
    kvBytes: sum('kv_cache_bytes'),
    heapBytes: sum('model_memory_bytes', ['of', 'heap']),
  }
}
