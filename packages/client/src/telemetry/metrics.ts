import type { SleepLevel } from '@tabserve/protocol'
import { batchTotals } from './batch-totals.ts'
import type { MeasuredModel, MetricMaker } from './measured-model.ts'
import { each, metricMakers, one, seconds, spread } from './measured-model.ts'
import type { Metric } from './metric.ts'
import { tritonMetrics } from './triton-metrics.ts'

/**
 * Every figure under vLLM's name, `tabserve:` for `vllm:`, times in seconds; then Triton's, `tabserve:` for `nv_`. What both lack is named in vLLM's
 * manner.
 */
export function metricsOf(models: readonly MeasuredModel[]): Metric[] {
  const { gauge, counter, histogram } = metricMakers(models, ({ info: { manifest } }) => ({
    model_name: manifest.name,
    model_version: manifest.version,
  }))
  return [
    ...stateMetrics(gauge),
    ...cacheMetrics(gauge, counter),
    ...workMetrics(gauge, counter, histogram),
    ...speculationMetrics(counter),
    ...requestMetrics(counter, histogram),
    ...modelMetrics(gauge, counter),
    ...tritonMetrics(models),
  ]
}

function stateMetrics(gauge: MetricMaker): Metric[] {
  return [
    gauge('num_requests_running', 'Answers being computed.', ({ stats }) => one(stats.running)),
    gauge('num_requests_waiting', 'Answers that wait.', ({ stats }) => one(stats.waiting)),
    gauge('engine_sleep_state', '1 for the state that the model is in.', ({ stats, health }) =>
      each('sleep_state', sleepState(stats.sleepLevel ?? (health?.state === 'asleep' ? 2 : undefined))),
    ),
  ]
}

/** In vLLM's words, and `paused` for level 0. */
function sleepState(level: SleepLevel | undefined): Readonly<Record<string, number>> {
  const is = (wanted: SleepLevel | undefined) => (level === wanted ? 1 : 0)
  return { awake: is(undefined), paused: is(0), weights_offloaded: is(1), discard_all: is(2) }
}

function cacheMetrics(gauge: MetricMaker, counter: MetricMaker): Metric[] {
  return [
    gauge('cache_config_info', 'How the KV cache was set up; always 1.', ({ info, stats }) => {
      const { kvType, kvBytes, maxRunning, contextLength } = info
      const labels = {
        cache_dtype: kvType,
        num_blocks: String(stats.blocks?.total ?? 0),
        kv_bytes: String(kvBytes),
        max_running: String(maxRunning),
        context_length: String(contextLength),
      }
      return [{ labels, value: 1 }]
    }),
    gauge('kv_cache_usage_perc', 'Share of the KV cache in use, 0 to 1.', ({ stats }) => one(stats.kvUsage)),
    gauge('kv_cache_bytes', 'Bytes that the KV cache holds.', ({ stats }) => one(stats.kvBytes)),
    gauge(
      'kv_cache_blocks',
      'Blocks of the KV cache that are used, and that can be found again.',
      (model) => {
        const { blocks } = model.stats
        if (blocks === undefined) return []
        const { total, used, cached } = blocks
        return each('state', { used, cached, free: total - used - cached })
      },
    ),
    counter('kv_cache_block_events', 'Blocks that became findable, were evicted, were copied.', (model) => {
      const { blocks } = model.stats
      if (blocks === undefined) return []
      const { stored, evicted, copied } = blocks
      return each('event', { stored, evicted, copied })
    }),
    counter('prefix_cache_queries', 'Prompt tokens looked up in the KV cache.', ({ stats }) =>
      one(stats.promptTokens),
    ),
    counter('prefix_cache_hits', 'Prompt tokens found in the KV cache.', ({ stats }) =>
      one(stats.cachedTokens),
    ),
  ]
}

function workMetrics(gauge: MetricMaker, counter: MetricMaker, histogram: MetricMaker): Metric[] {
  return [
    counter('num_preemptions', 'Answers sent back to wait.', ({ stats }) => one(stats.preemptions)),
    counter('num_device_losses', 'Times that the GPU was lost.', ({ stats }) => one(stats.losses)),
    counter('prompt_tokens', 'Prompt tokens asked for.', ({ stats }) => one(stats.promptTokens)),
    counter('prompt_tokens_cached', 'Prompt tokens that were not computed.', ({ stats }) =>
      one(stats.cachedTokens),
    ),
    counter('prompt_tokens_by_source', 'Prompt tokens by where their KV came from.', ({ stats }) =>
      each('source', {
        local_compute: stats.promptTokens - stats.cachedTokens,
        local_cache_hit: stats.cachedTokens,
      }),
    ),
    counter('generation_tokens', 'Tokens generated.', ({ stats }) => one(stats.generatedTokens)),
    counter('engine_steps', 'Forward passes, by kind.', ({ stats }) => each('kind', stats.steps)),
    counter('engine_step_seconds', 'Time of forward passes, by what was done.', ({ stats }) =>
      each('part', {
        plan: stats.planMs / 1000,
        copy: stats.copyMs / 1000,
        run: (stats.stepMs - stats.copyMs) / 1000,
        sample: stats.sampleMs / 1000,
      }),
    ),
    histogram('iteration_tokens_total', 'Tokens of a forward pass.', ({ stats }) => spread(stats.stepTokens)),
    gauge('n_busy_slots_per_decode', "Answers in a forward pass, on average: llama.cpp's.", ({ stats }) => {
      const { passes, rows } = batchTotals(stats)
      return one(passes === 0 ? 0 : rows / passes)
    }),
  ]
}

function speculationMetrics(counter: MetricMaker): Metric[] {
  return [
    counter('spec_decode_num_drafts', 'Drafts.', ({ stats }) => one(stats.speculation.drafts)),
    counter('spec_decode_num_draft_tokens', 'Tokens in drafts.', ({ stats }) =>
      one(stats.speculation.draftTokens),
    ),
    counter('spec_decode_num_accepted_tokens', 'Tokens of drafts that were right.', ({ stats }) =>
      one(stats.speculation.acceptedTokens),
    ),
    counter('spec_decode_num_accepted_tokens_per_pos', 'The same by place in the draft.', ({ stats }) =>
      each('position', Object.fromEntries(stats.speculation.acceptedAt.entries())),
    ),
  ]
}

function requestMetrics(counter: MetricMaker, histogram: MetricMaker): Metric[] {
  const times = (name: string, help: string, key: TimeKey) =>
    histogram(name, help, ({ stats }) => seconds(stats.requests[key]))
  const counts = (name: string, help: string, key: CountKey) =>
    histogram(name, help, ({ stats }) => spread(stats.requests[key]))
  return [
    counter(
      'request_success',
      'Answers that ended, by reason; requests that failed as `error`.',
      ({ stats }) => each('finished_reason', { ...stats.finished, error: stats.failed }),
    ),
    counter('request_failure', 'Requests that failed, by code; `queue_full` those refused.', ({ stats }) =>
      each('reason', { ...stats.failures, queue_full: stats.refused }),
    ),
    counter('corrupted_requests', 'Requests for which the model gave no numbers.', ({ stats }) =>
      one(stats.corrupted),
    ),
    times('time_to_first_token_seconds', 'From submit to the first token.', 'firstTokenMs'),
    times('inter_token_latency_seconds', 'From a token of an answer to its next.', 'interTokenMs'),
    times('request_time_per_output_token_seconds', 'Mean time of a token but the first.', 'tokenMs'),
    times('e2e_request_latency_seconds', 'From submit to the last word.', 'totalMs'),
    times('request_queue_time_seconds', 'From submit to the first forward pass.', 'queueMs'),
    times('request_inference_time_seconds', 'From the first forward pass to the last token.', 'inferenceMs'),
    times('request_prefill_time_seconds', 'From the first forward pass to the first token.', 'prefillMs'),
    times('request_decode_time_seconds', 'From the first token to the last.', 'decodeMs'),
    counts('request_prompt_tokens', 'Prompt tokens of a request.', 'promptTokens'),
    counts('request_generation_tokens', 'Tokens generated for a request.', 'generatedTokens'),
    counts('request_max_num_generation_tokens', 'Tokens of its longest answer.', 'mostGeneratedTokens'),
    counts('request_prefill_kv_computed_tokens', 'Prompt tokens not in the KV cache.', 'prefillTokens'),
    counts('request_params_max_tokens', 'What requests ask for as most tokens.', 'maxTokens'),
    counts('request_params_n', 'How many answers requests ask for.', 'n'),
  ]
}

type TimeKey = 'firstTokenMs' | 'interTokenMs' | 'tokenMs' | 'totalMs' | RequestPart
type RequestPart = 'queueMs' | 'inferenceMs' | 'prefillMs' | 'decodeMs'
type CountKey =
  'promptTokens' | 'generatedTokens' | 'mostGeneratedTokens' | 'prefillTokens' | 'maxTokens' | 'n'

function modelMetrics(gauge: MetricMaker, counter: MetricMaker): Metric[] {
  return [
    gauge('model_load_bytes', 'Bytes that the load brought, by where from.', ({ info: { load } }) =>
      each('source', { network: load.networkBytes, store: load.storedBytes, local: load.localBytes }),
    ),
    gauge('model_load_seconds', 'What the load took; parts overlap.', ({ info: { load } }) =>
      each('part', {
        fetch: load.fetchMs / 1000,
        hash: load.hashMs / 1000,
        create: load.createMs / 1000,
        warm_up: load.warmupMs / 1000,
      }),
    ),
    gauge(
      'model_memory_bytes',
      'Bytes of files, wasm memory after loading, most of the KV cache.',
      (model) => {
        const { manifest, heapBytes, kvBytes } = model.info
        const files = manifest.files.reduce((sum, { bytes }) => sum + bytes, 0)
        return each('of', {
          files,
          kv_limit: kvBytes,
          ...(heapBytes === undefined ? {} : { heap: heapBytes }),
        })
      },
    ),
    gauge('num_replicas', 'Workers that hold the model, by state.', ({ health }) =>
      each('state', countBy(health?.replicas.map(({ state }) => state) ?? [])),
    ),
    counter('worker_restarts', 'Workers that took the place of one that died.', ({ health }) =>
      health === undefined ? [] : one(health.replicas.reduce((sum, { restarts }) => sum + restarts, 0)),
    ),
  ]
}

function countBy(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}
