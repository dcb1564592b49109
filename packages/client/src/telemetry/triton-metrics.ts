import { batchTotals } from './batch-totals.ts'
import type { MeasuredModel, MetricMaker } from './measured-model.ts'
import { each, metricMakers, one } from './measured-model.ts'
import type { Metric } from './metric.ts'
import type { ErrorCode, ModelStats, OneShotStats } from '@tabserve/protocol'

/** What Triton calls CANCELED, and what it calls BACKEND. */
const CANCELED: readonly ErrorCode[] = ['aborted', 'timeout']
const BACKEND: readonly ErrorCode[] = ['backend_failed', 'device_lost', 'engine_lost']

/** Triton's figures of a model, with its labels; times add up in microseconds. One row of a forward pass is an inference. */
export function tritonMetrics(models: readonly MeasuredModel[]): Metric[] {
  const { gauge, counter } = metricMakers(models, ({ info: { manifest } }) => ({
    model: manifest.name,
    version: manifest.version,
  }))
  const micros = (name: string, help: string, msOf: (stats: ModelStats) => number) =>
    counter(name, help, ({ stats }) => one(Math.round(1000 * msOf(stats))))
  return [
    counter('inference_request_success', 'Requests that ended without an error.', ({ stats }) =>
      one(stats.oneShot?.succeeded ?? stats.requests.totalMs.count),
    ),
    counter('inference_request_failure', 'Requests that failed, by reason.', ({ stats }) =>
      each('reason', failuresOf(stats)),
    ),
    counter('inference_count', 'Rows of all forward passes.', ({ stats }) => one(batchTotals(stats).rows)),
    counter('inference_exec_count', 'Forward passes.', ({ stats }) => one(batchTotals(stats).passes)),
    gauge('inference_pending_request_count', 'Answers that wait.', ({ stats }) => one(stats.waiting)),
    micros('inference_request_duration_us', 'From submit to the last word.', (stats) => {
      return stats.oneShot?.total.ms ?? stats.requests.totalMs.sum
    }),
    micros('inference_queue_duration_us', 'From submit to the first pass.', (stats) => {
      return stats.oneShot?.queue.ms ?? stats.requests.queueMs.sum
    }),
    micros(
      'inference_compute_input_duration_us',
      'Planning passes and copying KV for them, or preprocessing.',
      (stats) => {
        return batchTotals(stats).inputMs
      },
    ),
    micros('inference_compute_infer_duration_us', 'Forward passes.', (stats) => batchTotals(stats).inferMs),
    micros('inference_compute_output_duration_us', 'Choosing tokens, or postprocessing.', (stats) => {
      return batchTotals(stats).outputMs
    }),
    ...cacheMetrics(counter),
  ]
}

/** Of models whose answers can be kept. */
function cacheMetrics(counter: MetricMaker): Metric[] {
  const ofCache = (name: string, help: string, of: (stats: OneShotStats) => number) =>
    counter(name, help, ({ stats: { oneShot } }) => (oneShot === undefined ? [] : one(of(oneShot))))
  const micros = (ms: number) => Math.round(1000 * ms)
  return [
    ofCache('cache_num_hits_per_model', 'Answers that were kept.', ({ cacheHit }) => cacheHit.count),
    ofCache('cache_num_misses_per_model', 'Answers that had to be computed, and were kept.', (stats) => {
      return stats.cacheMiss.count
    }),
    ofCache('cache_hit_duration_per_model', 'Finding them, in microseconds.', ({ cacheHit }) => {
      return micros(cacheHit.ms)
    }),
    ofCache('cache_miss_duration_per_model', 'Not finding and keeping them, in microseconds.', (stats) => {
      return micros(stats.cacheMiss.ms)
    }),
  ]
}

function failuresOf({ failures, refused, finished, oneShot }: ModelStats): Record<string, number> {
  const sumOf = (codes: readonly ErrorCode[]) => codes.reduce((sum, code) => sum + (failures[code] ?? 0), 0)
  const all = Object.values(failures).reduce((sum, count) => sum + count, 0)
  const [canceled, backend] = [sumOf(CANCELED), sumOf(BACKEND)]
  // A one-shot request that is cancelled has no answer; text that is cut short is one.
  const aborted = oneShot === undefined ? 0 : finished.abort
  return {
    REJECTED: refused,
    CANCELED: canceled + aborted,
    BACKEND: backend,
    OTHER: all - canceled - backend,
  }
}
