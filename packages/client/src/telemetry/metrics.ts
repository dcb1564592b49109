import type { Distribution, ModelInfo, ModelStats, SleepLevel } from '@tabserve/protocol'
import type { Metric, Sample } from './metric.ts'

export interface MeasuredModel {
  readonly info: ModelInfo
  readonly stats: ModelStats
}

/** Every figure under vLLM's name, `tabserve:` for `vllm:`, times in seconds. What vLLM lacks is named in its manner. */
export function metricsOf(models: readonly MeasuredModel[]): Metric[] {
  const perModel = (samplesOf: (stats: ModelStats) => readonly Sample[]) =>
    models.flatMap(({ info: { manifest }, stats }) =>
      samplesOf(stats).map(({ labels, value }) => ({
        labels: { model_name: manifest.name, model_version: manifest.version, ...labels },
        value,
      })),
    )
  const metric =
    (type: Metric['type']) =>
    (name: string, help: string, samplesOf: (stats: ModelStats) => readonly Sample[]) => ({
      name: `tabserve:${name}`,
      help,
      type,
      samples: perModel(samplesOf),
    })
  const gauge = metric('gauge')
  const counter = metric('counter')
  const histogram = metric('histogram')
  return [
    gauge('engine_sleep_state', '1 for the state that the model is in.', ({ sleepLevel }) =>
      each('sleep_state', sleepState(sleepLevel)),
    ),
    gauge('num_requests_running', 'Answers being computed.', (stats) => one(stats.running)),
    gauge('num_requests_waiting', 'Answers that wait.', (stats) => one(stats.waiting)),
    gauge('kv_cache_usage_perc', 'Share of the KV cache in use, 0 to 1.', (stats) => one(stats.kvUsage)),
    gauge('kv_cache_bytes', 'Bytes that the KV cache holds.', (stats) => one(stats.kvBytes)),
    counter('prefix_cache_queries', 'Prompt tokens looked up in the KV cache.', (stats) =>
      one(stats.promptTokens),
    ),
    counter('prefix_cache_hits', 'Prompt tokens found in the KV cache.', (stats) => one(stats.cachedTokens)),
    counter('num_preemptions', 'Answers sent back to wait.', (stats) => one(stats.preemptions)),
    counter('num_device_losses', 'Times that the GPU was lost.', (stats) => one(stats.losses)),
    counter('prompt_tokens', 'Prompt tokens asked for.', (stats) => one(stats.promptTokens)),
    counter('prompt_tokens_cached', 'Prompt tokens that were not computed.', (stats) =>
      one(stats.cachedTokens),
    ),
    counter('generation_tokens', 'Tokens generated.', (stats) => one(stats.generatedTokens)),
    counter('request_success', 'Answers that ended, by reason.', (stats) =>
      each('finished_reason', stats.finished),
    ),
    counter('request_failure', 'Requests that failed or were refused.', ({ failed, refused }) =>
      each('reason', { failed, refused }),
    ),
    counter('engine_steps', 'Forward passes, by kind.', (stats) => each('kind', stats.steps)),
    counter('engine_step_seconds', 'Time in forward passes.', (stats) => one(stats.stepMs / 1000)),
    counter('spec_decode_num_drafts', 'Drafts.', ({ speculation }) => one(speculation.drafts)),
    counter('spec_decode_num_draft_tokens', 'Tokens in drafts.', ({ speculation }) =>
      one(speculation.draftTokens),
    ),
    counter('spec_decode_num_accepted_tokens', 'Tokens of drafts that were right.', ({ speculation }) =>
      one(speculation.acceptedTokens),
    ),
    counter('spec_decode_num_accepted_tokens_per_pos', 'The same by place in the draft.', ({ speculation }) =>
      each('position', Object.fromEntries(speculation.acceptedAt.entries())),
    ),
    histogram('time_to_first_token_seconds', 'From submit to the first token.', ({ requests }) =>
      seconds(requests.firstTokenMs),
    ),
    histogram(
      'request_time_per_output_token_seconds',
      'Mean time of a token but the first.',
      ({ requests }) => seconds(requests.tokenMs),
    ),
    histogram('e2e_request_latency_seconds', 'From submit to the last word.', ({ requests }) =>
      seconds(requests.totalMs),
    ),
    histogram('request_queue_time_seconds', 'From submit to the first forward pass.', ({ requests }) =>
      seconds(requests.queueMs),
    ),
    histogram(
      'request_prefill_time_seconds',
      'From the first forward pass to the first token.',
      ({ requests }) => seconds(requests.prefillMs),
    ),
    histogram('request_decode_time_seconds', 'From the first token to the last word.', ({ requests }) =>
      seconds(requests.decodeMs),
    ),
    histogram('request_prompt_tokens', 'Prompt tokens of a request.', ({ requests }) =>
      spread(requests.promptTokens, 1),
    ),
    histogram('request_generation_tokens', 'Tokens generated for a request.', ({ requests }) =>
      spread(requests.generatedTokens, 1),
    ),
  ]
}

/** In vLLM's words, and `paused` for level 0. */
function sleepState(level: SleepLevel | undefined): Readonly<Record<string, number>> {
  const is = (wanted: SleepLevel | undefined) => (level === wanted ? 1 : 0)
  return { awake: is(undefined), paused: is(0), weights_offloaded: is(1), discard_all: is(2) }
}

function one(value: number): Sample[] {
  return [{ labels: {}, value }]
}

function each(label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }))
}

function seconds(distribution: Distribution): Sample[] {
  return spread(distribution, 1000)
}

function spread({ bounds, counts, sum, count }: Distribution, unit: number): Sample[] {
  let below = 0
  const buckets = bounds.map((bound, index) => ({
    bound: bound / unit,
    count: (below += counts[index] ?? 0),
  }))
  return [{ labels: {}, value: { buckets, sum: sum / unit, count } }]
}
