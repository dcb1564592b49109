import { batchTotals } from './batch-totals.ts'
import type { MeasuredModel } from './measured-model.ts'
import { each, metricMakers, one } from './measured-model.ts'
import type { Metric } from './metric.ts'
import type { ErrorCode, ModelStats } from '@tabserve/protocol'

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
      one(stats.requests.totalMs.count),
    ),
    counter('inference_request_failure', 'Requests that failed, by reason.', ({ stats }) =>
      each('reason', failuresOf(stats)),
    ),
    counter('inference_count', 'Rows of all forward passes.', ({ stats }) => one(batchTotals(stats).rows)),
    counter('inference_exec_count', 'Forward passes.', ({ stats }) => one(batchTotals(stats).passes)),
    gauge('inference_pending_request_count', 'Answers that wait.', ({ stats }) => one(stats.waiting)),
    micros('inference_request_duration_us', 'From submit to the last word.', (stats) => {
      return stats.requests.totalMs.sum
    }),
    micros('inference_queue_duration_us', 'From submit to the first pass.', (stats) => {
      return stats.requests.queueMs.sum
    }),
    micros('inference_compute_input_duration_us', 'Planning passes and copying KV for them.', (stats) => {
      return batchTotals(stats).inputMs
    }),
    micros('inference_compute_infer_duration_us', 'Forward passes.', (stats) => batchTotals(stats).inferMs),
    micros('inference_compute_output_duration_us', 'Choosing tokens.', (stats) => {
      return batchTotals(stats).outputMs
    }),
  ]
}

function failuresOf({ failures, refused }: ModelStats): Record<string, number> {
  const sumOf = (codes: readonly ErrorCode[]) => codes.reduce((sum, code) => sum + (failures[code] ?? 0), 0)
  const all = Object.values(failures).reduce((sum, count) => sum + count, 0)
  const [canceled, backend] = [sumOf(CANCELED), sumOf(BACKEND)]
  return { REJECTED: refused, CANCELED: canceled, BACKEND: backend, OTHER: all - canceled - backend }
}
