import { expect, test } from 'playwright/test'
import parsePrometheus from 'parse-prometheus-text-format'
import { modelStatistics } from '../../packages/client/src/doors/kserve/statistics.ts'
import type { MeasuredModel } from '../../packages/client/src/telemetry/measured-model.ts'
import type { HistogramValue, Metric } from '../../packages/client/src/telemetry/metric.ts'
import { metricsOf } from '../../packages/client/src/telemetry/metrics.ts'
import { prometheusText } from '../../packages/client/src/telemetry/prometheus.ts'
import { Counters } from '../../packages/engine/src/stats.ts'
import type { ModelHealth } from '../../packages/protocol/src/index.ts'
import { fakeInfo } from './fake-host.ts'
import { scriptedEngine } from './scripted-engine.ts'

const HEALTH: ModelHealth = {
  id: 'm@1',
  name: 'm',
  version: '1',
  state: 'ready',
  ready: true,
  wanted: 1,
  waiting: 0,
  replicas: [{ state: 'ready', requests: 0, threads: 1, restarts: 2 }],
}
const INFO = fakeInfo('m@1', { fileBytes: 1000, kvBytes: 500 })

test('after scripted requests on a fake clock every figure is exact', async () => {
  const { engine } = await scriptedEngine()
  const model: MeasuredModel = { info: INFO, stats: engine.stats(), health: HEALTH }
  expect(valuesOf(metricsOf([model]))).toEqual({
    num_requests_running: { '': 0 },
    num_requests_waiting: { '': 0 },
    engine_sleep_state: { awake: 1, paused: 0, weights_offloaded: 0, discard_all: 0 },
    cache_config_info: { 'float32 16 500 1 1': 1 },
    kv_cache_usage_perc: { '': 0 },
    kv_cache_bytes: { '': 0 },
    kv_cache_blocks: { used: 0, cached: 3, free: 13 },
    kv_cache_block_events: { stored: 3, evicted: 0, copied: 0 },
    prefix_cache_queries: { '': 25 },
    prefix_cache_hits: { '': 4 },
    num_preemptions: { '': 1 },
    num_device_losses: { '': 0 },
    prompt_tokens: { '': 25 },
    prompt_tokens_cached: { '': 4 },
    prompt_tokens_by_source: { local_compute: 21, local_cache_hit: 4 },
    generation_tokens: { '': 19 },
    engine_steps: { decode: 8, prefill: 3, mixed: 1, verify: 0 },
    engine_step_seconds: { plan: 0, copy: 0, run: 0.12, sample: 0 },
    iteration_tokens_total: { '': '12 of 34: 2 ≤ 1, 10 ≤ 8' },
    n_busy_slots_per_decode: { '': 1.75 },
    spec_decode_num_drafts: { '': 0 },
    spec_decode_num_draft_tokens: { '': 0 },
    spec_decode_num_accepted_tokens: { '': 0 },
    spec_decode_num_accepted_tokens_per_pos: {},
    request_success: { stop: 0, length: 9, abort: 1, timeout: 0, error: 1 },
    request_failure: { backend_failed: 1, queue_full: 1 },
    corrupted_requests: { '': 0 },
    time_to_first_token_seconds: { '': '9 of 0.11: 8 ≤ 0.01, 1 ≤ 0.04' },
    inter_token_latency_seconds: { '': '9 of 0.1: 8 ≤ 0.01, 1 ≤ 0.025' },
    request_time_per_output_token_seconds: { '': '4 of 0.043333: 3 ≤ 0.01, 1 ≤ 0.025' },
    e2e_request_latency_seconds: { '': '9 of 0.21: 4 ≤ 0.01, 1 ≤ 0.02, 4 ≤ 0.05' },
    request_queue_time_seconds: { '': '9 of 0.01: 9 ≤ 0.01' },
    request_inference_time_seconds: { '': '9 of 0.2: 4 ≤ 0.01, 2 ≤ 0.02, 3 ≤ 0.05' },
    request_prefill_time_seconds: { '': '9 of 0.1: 8 ≤ 0.01, 1 ≤ 0.02' },
    request_decode_time_seconds: { '': '9 of 0.1: 6 ≤ 0.01, 1 ≤ 0.02, 2 ≤ 0.05' },
    request_prompt_tokens: { '': '9 of 24: 3 ≤ 1, 1 ≤ 2, 5 ≤ 5' },
    request_generation_tokens: { '': '9 of 19: 4 ≤ 1, 2 ≤ 2, 3 ≤ 5' },
    request_max_num_generation_tokens: { '': '9 of 18: 5 ≤ 1, 1 ≤ 2, 3 ≤ 5' },
    request_prefill_kv_computed_tokens: { '': '9 of 20: 4 ≤ 1, 1 ≤ 2, 4 ≤ 5' },
    request_params_max_tokens: { '': '8 of 17: 4 ≤ 1, 1 ≤ 2, 3 ≤ 5' },
    request_params_n: { '': '9 of 10: 8 ≤ 1, 1 ≤ 2' },
    model_load_bytes: { network: 0, store: 0, local: 0 },
    model_load_seconds: { fetch: 0, hash: 0, create: 0, warm_up: 0 },
    model_memory_bytes: { files: 1000, kv_limit: 500 },
    num_replicas: { ready: 1 },
    worker_restarts: { '': 2 },
    inference_request_success: { '': 9 },
    inference_request_failure: { REJECTED: 1, CANCELED: 0, BACKEND: 1, OTHER: 0 },
    inference_count: { '': 21 },
    inference_exec_count: { '': 12 },
    inference_pending_request_count: { '': 0 },
    inference_request_duration_us: { '': 210_000 },
    inference_queue_duration_us: { '': 10_000 },
    inference_compute_input_duration_us: { '': 0 },
    inference_compute_infer_duration_us: { '': 120_000 },
    inference_compute_output_duration_us: { '': 0 },
    cache_num_hits_per_model: {},
    cache_num_misses_per_model: {},
    cache_hit_duration_per_model: {},
    cache_miss_duration_per_model: {},
  })
  expect(modelStatistics(INFO, engine.stats())).toMatchObject({
    last_inference: 110,
    inference_count: 21,
    execution_count: 12,
    inference_stats: {
      success: { count: 9, ns: 210e6 },
      fail: { count: 2, ns: 10e6 },
      queue: { count: 9, ns: 10e6 },
      compute_infer: { count: 12, ns: 120e6 },
      cache_hit: { count: 4 },
      cache_miss: { count: 21 },
    },
    batch_stats: [
      { batch_size: 1, compute_infer: { count: 3, ns: 30e6 } },
      { batch_size: 2, compute_infer: { count: 9, ns: 90e6 } },
    ],
  })
})

test('what the script leaves at zero is counted too: drafts, parts of a step, losses, what failed and why', () => {
  const counters = new Counters()
  const step = { kind: 'verify', planMs: 1, copyMs: 2, runMs: 4, sampleMs: 8, rows: 3, tokens: 9 } as const
  counters.stepped({ ...step, promptTokens: 0, generatedTokens: 5, draftTokens: 6, acceptedTokens: 2 })
  counters.drafted(3, 2)
  counters.drafted(3, 0)
  counters.failedWith('timeout', 20)
  counters.failedWith('bad_request', 30)
  Object.assign(counters, { losses: 1, corrupted: 1 })
  const blocks = { total: 8, used: 3, cached: 1, copied: 5, stored: 7, evicted: 6 }
  const now = { running: 1, waiting: 2, rows: 4, kvUsage: 0.375, kvBytes: 64, preemptions: 0, blocks }
  const stats = counters.snapshot(now)
  const asleep: ModelHealth = { ...HEALTH, state: 'asleep', replicas: [] }
  const load = { ...INFO.load, networkBytes: 10, storedBytes: 20, hashMs: 500, fetchMs: 1000 }
  const info = { ...INFO, heapBytes: 256, load }
  expect(valuesOf(metricsOf([{ info, stats, health: asleep }]))).toMatchObject({
    num_requests_running: { '': 1 },
    num_requests_waiting: { '': 2 },
    engine_sleep_state: { awake: 0, paused: 0, weights_offloaded: 0, discard_all: 1 },
    kv_cache_usage_perc: { '': 0.375 },
    kv_cache_bytes: { '': 64 },
    kv_cache_blocks: { used: 3, cached: 1, free: 4 },
    kv_cache_block_events: { stored: 7, evicted: 6, copied: 5 },
    num_device_losses: { '': 1 },
    engine_step_seconds: { plan: 0.001, copy: 0.002, run: 0.004, sample: 0.008 },
    n_busy_slots_per_decode: { '': 3 },
    spec_decode_num_drafts: { '': 2 },
    spec_decode_num_draft_tokens: { '': 6 },
    spec_decode_num_accepted_tokens: { '': 2 },
    spec_decode_num_accepted_tokens_per_pos: { 0: 1, 1: 1, 2: 0 },
    request_success: { error: 2 },
    request_failure: { timeout: 1, bad_request: 1, queue_full: 0 },
    corrupted_requests: { '': 1 },
    model_load_bytes: { network: 10, store: 20, local: 0 },
    model_load_seconds: { fetch: 1, hash: 0.5 },
    model_memory_bytes: { heap: 256 },
    num_replicas: {},
    inference_request_failure: { REJECTED: 0, CANCELED: 1, BACKEND: 0, OTHER: 1 },
    inference_compute_input_duration_us: { '': 3000 },
    inference_compute_output_duration_us: { '': 8000 },
  })
  expect(modelStatistics(info, stats)).toMatchObject({
    inference_stats: { fail: { count: 2, ns: 50e6 }, compute_input: { count: 1, ns: 3e6 } },
    memory_usage: [{ type: 'CPU', byte_size: 320 }],
  })
})

test('a Prometheus parser reads the text: names, types, labels, buckets', async () => {
  const { engine } = await scriptedEngine()
  const { manifest } = INFO
  const info = { ...INFO, manifest: { ...manifest, name: 'a "b" \\c' } } // both must survive
  const metrics = metricsOf([{ info, stats: engine.stats(), health: HEALTH }])
  const text = prometheusText(metrics)
  const families = parsePrometheus(text)
  const nameOf = ({ name, type }: Metric) => (type === 'counter' ? `${name}_total` : name)
  expect(families.map(({ name, type }) => [name, type])).toEqual(
    metrics.map((metric) => [nameOf(metric), metric.type.toUpperCase()]),
  )
  // This parser loses the sums of histograms that have labels; without their types it reads every line.
  const lines = parsePrometheus(text.replace(/^# .*\n/gm, ''))
  const family = (name: string) =>
    [...families, ...lines].find((family) => family.name === `tabserve:${name}`)?.metrics[0]
  const labels = { model_name: 'a "b" \\c', model_version: '1' }
  expect(family('num_requests_running')).toMatchObject({ value: '0', labels })
  expect(family('generation_tokens_total')).toMatchObject({ value: '19', labels })
  expect(family('request_generation_tokens')).toMatchObject({
    buckets: expect.objectContaining({ '1': '4', '2': '6', '5': '9', '+Inf': '9' }),
  })
  expect(family('request_generation_tokens_sum')).toMatchObject({ value: '19', labels })
  expect(family('inter_token_latency_seconds_count')).toMatchObject({ value: '9', labels })
})

/** Values by name and by labels other than the model's. A histogram as how many values of which sum, and how many up to each bound. */
function valuesOf(metrics: readonly Metric[]): Record<string, Record<string, number | string>> {
  const ofModel = ['model_name', 'model_version', 'model', 'version']
  return Object.fromEntries(
    metrics.map(({ name, samples }) => [
      name.replace('tabserve:', ''),
      Object.fromEntries(
        samples.map(({ labels, value }) => {
          const own = Object.entries(labels).filter(([label]) => !ofModel.includes(label))
          const shown = typeof value === 'number' ? value : histogramText(value)
          return [own.map(([, text]) => text).join(' '), shown]
        }),
      ),
    ]),
  )
}

function histogramText({ buckets, sum, count }: HistogramValue): string {
  const own = buckets.map(({ bound, count }, index) => [bound, count - (buckets[index - 1]?.count ?? 0)])
  const filled = own.filter(([, count]) => count !== 0).map(([bound, count]) => `${count} ≤ ${bound}`)
  return `${count} of ${Number(sum.toFixed(6))}: ${filled.join(', ')}`
}
