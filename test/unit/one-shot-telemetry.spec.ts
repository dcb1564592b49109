import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { expect, test } from 'playwright/test'
import { tritonMetrics } from '../../packages/client/src/telemetry/triton-metrics.ts'
import { openTelemetry } from '../../packages/client/src/telemetry/opentelemetry/index.ts'
import type { TelemetryOptions } from '../../packages/client/src/telemetry/telemetry-options.ts'
import { checkedTelemetry } from '../../packages/client/src/telemetry/telemetry-options.ts'
import { Telemetry } from '../../packages/client/src/telemetry/telemetry.ts'
import { Counters, OneShotCounters, OneShotReporter, add } from '../../packages/engine/src/index.ts'
import type { RequestEvent, RunRequest, TelemetryEvent } from '../../packages/protocol/src/index.ts'
import { isSampled } from '../../packages/protocol/src/index.ts'
import { FakeGraph } from './fake-graph.ts'
import { fakeInfo } from './fake-host.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const REQUEST: RunRequest = {
  task: 'run',
  model: 'vectors',
  input: 'a secret',
  requestId: 'r',
  priority: 2,
  traceparent: `00-${TRACE}-00f067aa0ba902b7-01`,
}
const TIMING = { preprocessMs: 2, queueMs: 3, inferMs: 10, postprocessMs: 1, totalMs: 18 }
const WORK = { submittedMs: 1_700_000_000_000, beganMs: 1_700_000_000_001 }
const RESULT: RequestEvent = {
  type: 'result',
  output: 'an answer',
  timing: TIMING,
  batchSize: 7,
  isCached: false,
  work: WORK,
}

test('every run of a graph is told with its rows and time, whoever is in it', async () => {
  const events: TelemetryEvent[] = []
  const tell = (event: TelemetryEvent) => events.push(event)
  const observer = { isOn: true, worker: 'w', model: 'm@1', isSampled: () => true, tell }
  const graph = new FakeGraph({ batching: { maxQueueDelayMs: 5, batchDimension: 'rows' }, observer })
  for (const value of [1, 2, 3]) graph.ask([value])
  await graph.clock.advance(100)
  graph.ask([4])
  await graph.clock.advance(100)
  expect(events).toMatchObject([
    { type: 'infer-batch', worker: 'w', model: 'm@1', iteration: 1, rows: 3, requests: 3, ms: 10 },
    { type: 'infer-batch', worker: 'w', model: 'm@1', iteration: 2, rows: 1, requests: 1, ms: 10 },
  ])
})

test('a worker tells who waits of those that are wanted, and of none that it asks itself', () => {
  const events: TelemetryEvent[] = []
  const reporter = new OneShotReporter({
    isOn: true,
    worker: 'w',
    model: 'm@1',
    isSampled: (id) => id === 'wanted',
    tell: (event) => events.push(event),
  })
  reporter.queued('wanted', 1)
  reporter.queued('other', 1)
  reporter.queued(undefined, 1)
  expect(events).toMatchObject([{ type: 'infer-queued', id: 'wanted', priority: 1, model: 'm@1' }])
})

test('the page tells of a one-shot request from its call to its answer, and of nothing in it', () => {
  const { events, ask } = startPage({})
  ask(REQUEST, RESULT)
  expect(events).toMatchObject([
    { type: 'infer-start', id: 'r', asked: 'vectors', task: 'run', handler: 'embed', priority: 2 },
    { type: 'route', id: 'r', model: 'm@1', alias: 'vectors' },
    {
      type: 'infer-end',
      id: 'r',
      asked: 'vectors',
      model: 'm@1',
      alias: 'vectors',
      traceparent: REQUEST.traceparent,
      batchSize: 7,
      isCached: false,
      timing: TIMING,
      work: WORK,
    },
  ])
  expect(JSON.stringify(events)).not.toMatch(/secret|an answer/)
})

test('content is told to who asks for it; who is not in the sample is not told of, but answered', () => {
  const open = startPage({ content: true })
  open.ask(REQUEST, RESULT)
  expect(open.events[0]).toMatchObject({ input: 'a secret' })
  expect(open.events.at(-1)).toMatchObject({ output: 'an answer' })
  const sampled = startPage({ sample: 0.5 })
  const ids = Array.from({ length: 40 }, (_, index) => `request-${index}`)
  for (const requestId of ids) sampled.ask({ ...REQUEST, requestId }, RESULT)
  const told = sampled.events.flatMap((event) => (event.type === 'infer-end' ? [event.id] : []))
  expect(told).toEqual(ids.filter((id) => isSampled(id, 0.5)))
  expect(sampled.heard).toHaveLength(40)
})

test('a failure is told by its code, also of a request that was not even sent; a kept answer as such', () => {
  const { events, ask, refuse } = startPage({})
  ask(REQUEST, { type: 'error', error: { code: 'queue_full', message: 'full' } })
  refuse(REQUEST)
  ask(REQUEST, { ...RESULT, isCached: true, batchSize: 0 })
  const ends = events.filter(({ type }) => type === 'infer-end')
  expect(ends).toMatchObject([
    { error: 'queue_full', batchSize: 0 },
    { error: 'bad_request', batchSize: 0 },
    { isCached: true, batchSize: 0 },
  ])
  expect(ends[0]).not.toHaveProperty('timing')
  expect(ends[2]).not.toHaveProperty('error')
})

test('an embedding is a GenAI span of its own operation, its stages below it', () => {
  const { spans, hook } = startSpans()
  const { ask } = startPage({}, hook)
  ask(REQUEST, RESULT)
  const [preprocess, queue, inference, postprocess, request] = spans()
  expect(request).toMatchObject({ name: 'embeddings vectors', kind: 0, status: { code: 0 } })
  expect(request?.spanContext().traceId).toBe(TRACE)
  expect(request?.attributes).toEqual({
    'gen_ai.operation.name': 'embeddings',
    'gen_ai.provider.name': 'tabserve',
    'gen_ai.request.model': 'vectors',
    'gen_ai.response.model': 'm',
    'gen_ai.response.id': 'r',
    'tabserve.model.version': '1',
    'tabserve.route.alias': 'vectors',
    'tabserve.priority': 2,
    'tabserve.batch_size': 7,
    'tabserve.response.cached': false,
  })
  for (const [span, name, fromMs, ms] of [
    [preprocess, 'tabserve.preprocess', 1, 2],
    [queue, 'tabserve.queue', 3, 3],
    [inference, 'tabserve.inference', 6, 10],
    [postprocess, 'tabserve.postprocess', 17, 1],
  ] as const) {
    expect(span).toMatchObject({ name, startTime: [1_700_000_000, fromMs * 1e6], duration: [0, ms * 1e6] })
    expect(span?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId)
  }
})

test('other tasks are called as they are; a failure is an error span without stages', () => {
  const { spans, hook } = startSpans()
  const { ask } = startPage({}, hook, 'rerank')
  ask(REQUEST, { type: 'error', error: { code: 'timeout', message: 'late' } })
  expect(spans()).toMatchObject([
    {
      name: 'rerank vectors',
      status: { code: 2, message: 'timeout' },
      attributes: { 'error.type': 'timeout' },
    },
  ])
})

test("one-shot models have Triton's counters: rows, runs, stages, failures by reason, kept answers", () => {
  const counters = new OneShotCounters()
  counters.ran(1, 5)
  counters.ran(4, 8)
  counters.succeeded = 5
  for (const code of ['timeout', 'backend_failed', 'bad_request', 'aborted', 'queue_full'] as const)
    counters.failedWith(code, 2)
  for (const [sum, ms] of [
    [counters.queue, 3],
    [counters.preprocess, 4],
    [counters.postprocess, 6],
    [counters.total, 30],
    [counters.cacheHit, 0.5],
    [counters.cacheMiss, 0.25],
  ] as const)
    add(sum, ms)
  const now = { running: 0, waiting: 2, rows: 8, kvUsage: 0, kvBytes: 0, preemptions: 0 }
  const { failed, failures, refused, aborted } = counters
  const stats = {
    ...new Counters().snapshot(now),
    finished: { stop: 5, length: 0, abort: aborted, timeout: 0 },
    failed,
    failures,
    refused,
    oneShot: counters.snapshot({
      cache: { hits: 1, misses: 1, evictions: 0, entries: 1, bytes: 10 },
      sequences: { open: 0, started: 0, expired: 0 },
    }),
  }
  const info = fakeInfo('m@1', { fileBytes: 1, kvBytes: 0 })
  const found = tritonMetrics([{ info, stats }]).flatMap(({ name, samples }) =>
    samples.map(({ labels, value }) => [
      `${name.replace('tabserve:', '')} ${labels['reason'] ?? ''}`.trim(),
      value,
    ]),
  )
  expect(Object.fromEntries(found)).toEqual({
    inference_request_success: 5,
    'inference_request_failure REJECTED': 1,
    'inference_request_failure CANCELED': 2,
    'inference_request_failure BACKEND': 1,
    'inference_request_failure OTHER': 1,
    inference_count: 5,
    inference_exec_count: 2,
    inference_pending_request_count: 2,
    inference_request_duration_us: 30_000,
    inference_queue_duration_us: 3000,
    inference_compute_input_duration_us: 4000,
    inference_compute_infer_duration_us: 13_000,
    inference_compute_output_duration_us: 6000,
    cache_num_hits_per_model: 1,
    cache_num_misses_per_model: 1,
    cache_hit_duration_per_model: 500,
    cache_miss_duration_per_model: 250,
  })
})

/** A page's telemetry before a model `m@1` behind the alias `vectors`. */
function startPage(
  options: Omit<TelemetryOptions, 'hook'>,
  hook: (event: TelemetryEvent) => void = () => {},
  handler = 'embed',
) {
  const events: TelemetryEvent[] = []
  const checked = checkedTelemetry({ ...options, hook: (event) => (events.push(event), hook(event)) })
  const telemetry = new Telemetry(checked!)
  const heard: RequestEvent[] = []
  const listener = { servedBy: () => {}, take: (event: RequestEvent) => heard.push(event) }
  const handlerOf = (model: string) => (model === 'vectors' ? handler : undefined)
  const ask = (request: RunRequest, answer: RequestEvent) =>
    telemetry.submit(
      request,
      listener,
      (_, { servedBy, take }) => {
        servedBy({ where: 'local', model: 'm@1', alias: 'vectors' })
        take(answer)
        return () => {}
      },
      handlerOf,
    )
  const refuse = (request: RunRequest) =>
    expect(() =>
      telemetry.submit(request, listener, () => {
        throw new TypeError('no')
      }),
    ).toThrow('no')
  return { events, heard, ask, refuse }
}

function startSpans() {
  const exporter = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  return { hook: openTelemetry({ tracerProvider }), spans: () => exporter.getFinishedSpans() }
}
