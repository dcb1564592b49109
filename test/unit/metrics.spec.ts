import { expect, test } from 'playwright/test'
import parsePrometheus from 'parse-prometheus-text-format'
import { metricsOf } from '../../packages/client/src/telemetry/metrics.ts'
import { prometheusText } from '../../packages/client/src/telemetry/prometheus.ts'
import type { ModelInfo, SleepLevel } from '../../packages/protocol/src/index.ts'
import { startEngine } from './fake-engine.ts'

test("two requests are counted under vLLM's names, and a Prometheus parser reads the text", async () => {
  const { engine, ask, runner, settled } = startEngine()
  runner.cost = () => 10
  await ask({ tokens: [10, 11, 12], maxTokens: 4 })
  await ask({ tokens: [10, 11, 12, 13], maxTokens: 1 })
  await settled()
  // Only its name is read; a quote and a backslash must survive.
  const info = { manifest: { name: 'a "b" \\c', version: '1' } } as ModelInfo
  const stats = engine.stats()
  const text = prometheusText(metricsOf([{ info, stats }]))
  // This parser loses the sums of histograms that have labels; without their types it reads every line.
  const families = [...parsePrometheus(text), ...parsePrometheus(text.replace(/^# .*\n/gm, ''))]
  const family = (name: string) => {
    const found = families.find((family) => family.name === `tabserve:${name}`)
    if (found === undefined) throw new Error(`no ${name}`)
    return found
  }
  expect(family('num_requests_running')).toMatchObject({
    type: 'GAUGE',
    metrics: [{ value: '0', labels: { model_name: 'a "b" \\c', model_version: '1' } }],
  })
  const states = (sleepLevel: SleepLevel | undefined) =>
    metricsOf([{ info, stats: sleepLevel === undefined ? stats : { ...stats, sleepLevel } }])
      .find(({ name }) => name === 'tabserve:engine_sleep_state')
      ?.samples.flatMap(({ labels, value }) => (value === 1 ? labels['sleep_state'] : []))
  expect([undefined, 0, 1, 2].map((level) => states(level as SleepLevel))).toEqual([
    ['awake'],
    ['paused'],
    ['weights_offloaded'],
    ['discard_all'],
  ])
  expect(family('generation_tokens_total')).toMatchObject({ type: 'COUNTER', metrics: [{ value: '5' }] })
  expect(family('prompt_tokens_total').metrics[0]).toMatchObject({ value: '7' })
  expect(
    family('request_success_total').metrics.map(({ value, labels }) => [labels?.['finished_reason'], value]),
  ).toEqual([
    ['stop', '0'],
    ['length', '2'],
    ['abort', '0'],
    ['timeout', '0'],
  ])
  const generated = family('request_generation_tokens')
  expect(generated.type).toBe('HISTOGRAM')
  expect(generated.metrics[0]).toMatchObject({
    buckets: expect.objectContaining({ '1': '1', '2': '1', '5': '2', '+Inf': '2' }),
  })
  expect(family('request_generation_tokens_count').metrics[0]).toMatchObject({
    value: '2',
    labels: { model_name: 'a "b" \\c' },
  })
  expect(family('request_generation_tokens_sum').metrics[0]?.value).toBe('5')
  expect(Number(family('time_to_first_token_seconds_sum').metrics[0]?.value)).toBeCloseTo(
    stats.requests.firstTokenMs.sum / 1000,
  )
  const { queueMs, prefillMs, decodeMs, totalMs, tokenMs } = stats.requests
  expect(totalMs.sum).toBeCloseTo(queueMs.sum + prefillMs.sum + decodeMs.sum)
  expect([totalMs.sum, prefillMs.sum, decodeMs.sum]).toEqual([50, 20, 30]) // five passes, one token each
  expect(tokenMs.count).toBe(1) // one token has no next
})
