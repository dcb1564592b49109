import type { TelemetryEvent } from '../../packages/protocol/src/index.ts'
import { WORDS } from '../tasks/fixtures.ts'
import { expect, test } from './fixtures.ts'

test('a hook hears of embeddings: who waited, each run, stages by one clock, kept answers, failures; metrics count them', async ({
  page,
}) => {
  const texts = Array.from({ length: 12 }, (_, index) => `${WORDS[index % 9]} ${WORDS[(index * 2) % 9]}`)
  const { events, metrics, code } = await page.evaluate(async (input) => {
    const events: TelemetryEvent[] = []
    const telemetry = (event: TelemetryEvent) => events.push(event)
    const client = await window.tabserve.createClient({ threads: 1, telemetry })
    await client.load('/fixtures/tasks/embedder/', { responseCache: {} })
    client.setAlias('vectors', 'embedder@1')
    await client.embed({ model: 'vectors', input, cache: false })
    const [text = ''] = input
    await client.embed({ model: 'embedder', input: text, requestId: 'fresh' })
    await client.embed({ model: 'embedder', input: text, requestId: 'kept' })
    const code = await client.run({ model: 'embedder', input: 7, requestId: 'wrong' }).then(
      () => 'none',
      (error: { code: string }) => error.code,
    )
    await new Promise((resolve) => setTimeout(resolve, 300)) // what the worker tells comes on a port of its own
    const metrics = await client.metrics()
    client.dispose()
    return { events, metrics, code }
  }, texts)
  const of = <T extends TelemetryEvent['type']>(type: T) =>
    events.filter((event): event is Extract<TelemetryEvent, { type: T }> => event.type === type)
  const ends = of('infer-end')
  const end = (id: string) => ends.find((event) => event.id === id)
  expect(ends).toHaveLength(15)
  expect(of('infer-start')[0]).toMatchObject({ asked: 'vectors', task: 'run', handler: 'embed' })
  expect(ends[0]).toMatchObject({ asked: 'vectors', alias: 'vectors', model: 'embedder@1', isCached: false })
  expect(JSON.stringify(events)).not.toContain(texts[1])

  const fresh = end('fresh')
  const queued = of('infer-queued').find(({ id }) => id === 'fresh')
  expect(queued).toMatchObject({ model: 'embedder@1' })
  const times = [
    fresh?.arrivalMs,
    fresh?.work?.submittedMs,
    fresh?.work?.beganMs,
    queued?.timeMs,
    fresh?.timeMs,
  ]
  expect(times).toEqual(times.toSorted((one = NaN, other = NaN) => one - other))
  const { preprocessMs = NaN, queueMs = NaN, inferMs = NaN, postprocessMs = NaN } = fresh?.timing ?? {}
  expect(preprocessMs + queueMs + inferMs + postprocessMs).toBeLessThanOrEqual(fresh?.timing?.totalMs ?? NaN)
  expect(end('kept')).toMatchObject({ isCached: true, batchSize: 0 })
  expect(of('infer-queued').some(({ id }) => id === 'kept')).toBe(false)
  expect([code, end('wrong')?.error]).toEqual(['bad_request', 'bad_request'])

  const batches = of('infer-batch')
  expect(batches.map(({ iteration }) => iteration)).toEqual(batches.map((_, index) => index + 1))
  const rows = batches.reduce((sum, { rows }) => sum + rows, 0)
  expect(rows).toBeGreaterThanOrEqual(13)
  const value = (name: string, reason?: string) =>
    metrics
      .find((metric) => metric.name === `tabserve:${name}`)
      ?.samples.find(({ labels }) => labels['reason'] === reason)?.value
  expect(value('inference_request_success')).toBe(14)
  expect(value('inference_request_failure', 'OTHER')).toBe(1)
  expect(value('inference_exec_count')).toBe(batches.length)
  expect(value('inference_count')).toBe(rows)
  expect(value('cache_num_hits_per_model')).toBe(1)
  expect(value('cache_num_misses_per_model')).toBe(1)
  expect(value('inference_compute_infer_duration_us')).toBeGreaterThan(0)
})
