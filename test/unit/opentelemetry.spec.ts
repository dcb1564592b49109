import { expect, test } from 'playwright/test'
import type { HistogramMetricData } from '@opentelemetry/sdk-metrics'
import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics'
import { BasicTracerProvider, InMemorySpanExporter, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-base'
import { openTelemetry } from '../../packages/client/src/telemetry/opentelemetry/index.ts'
import type { RequestEndEvent, RequestStartEvent, TelemetryEvent } from '../../packages/protocol/src/index.ts'

const TRACE = '4bf92f3577b34da6a3ce929d0e0e4736'
const T0 = 1_700_000_000_000
const START: RequestStartEvent = {
  type: 'request-start',
  id: 'r',
  timeMs: T0,
  model: 'chat',
  priority: 1,
  params: { operation: 'chat', n: 1, maxTokens: 4, temperature: 0.5, seed: 7 },
  traceparent: `00-${TRACE}-00f067aa0ba902b7-01`,
}
const END: RequestEndEvent = {
  type: 'request-end',
  id: 'r',
  timeMs: T0 + 100,
  asked: 'chat',
  model: 'm@2',
  alias: 'chat',
  servedBy: 'local',
  priority: 1,
  arrivalMs: T0,
  queuedMs: T0 + 5,
  scheduledMs: T0 + 15,
  firstTokenMs: T0 + 35,
  lastTokenMs: T0 + 95,
  firstDeltaMs: T0 + 40,
  usage: { promptTokens: 10, cachedTokens: 6, completionTokens: 4 },
  work: { submittedMs: T0 + 5, lastTokenMs: 90, preemptions: 1, draftTokens: 3, acceptedTokens: 2 },
  finishReasons: ['length'],
}
const chunk = (afterMs: number): TelemetryEvent => ({
  type: 'request-tokens',
  id: 'r',
  timeMs: T0 + afterMs,
  choice: 0,
  numTokens: 1,
})

test('a request is a GenAI span below its traceparent, with its queue, prefill and decode below it', async () => {
  const { hook, spans } = startSdk()
  for (const event of [START, chunk(40), chunk(60), END]) hook(event)
  const [queue, prefill, decode, request] = spans()
  expect(request).toMatchObject({ name: 'chat chat', kind: 0, status: { code: 0 } })
  expect(request?.spanContext().traceId).toBe(TRACE)
  expect(request?.parentSpanContext).toMatchObject({ spanId: '00f067aa0ba902b7', isRemote: true })
  expect([request?.startTime, request?.endTime]).toEqual([
    [1_700_000_000, 0],
    [1_700_000_000, 100e6],
  ])
  expect(request?.attributes).toEqual({
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'tabserve',
    'gen_ai.request.model': 'chat',
    'gen_ai.response.model': 'm',
    'gen_ai.response.id': 'r',
    'gen_ai.response.finish_reasons': ['length'],
    'gen_ai.response.time_to_first_chunk': 0.04,
    'gen_ai.request.max_tokens': 4,
    'gen_ai.request.temperature': 0.5,
    'gen_ai.request.seed': 7,
    'gen_ai.request.stream': true,
    'gen_ai.output.type': 'text',
    'gen_ai.usage.input_tokens': 10,
    'gen_ai.usage.output_tokens': 4,
    'gen_ai.usage.cache_read.input_tokens': 6,
    'tabserve.model.version': '2',
    'tabserve.route.alias': 'chat',
    'tabserve.priority': 1,
    'tabserve.preemptions': 1,
    'tabserve.draft_tokens': 3,
    'tabserve.accepted_tokens': 2,
  })
  for (const [span, name, ms] of [
    [queue, 'tabserve.queue', 10],
    [prefill, 'tabserve.prefill', 20],
    [decode, 'tabserve.decode', 60],
  ] as const) {
    expect(span).toMatchObject({ name, duration: [0, ms * 1e6] })
    expect(span?.parentSpanContext?.spanId).toBe(request?.spanContext().spanId)
  }
})

test("the conventions' metrics have exact values in the conventions' buckets", async () => {
  const { hook, metrics } = startSdk()
  for (const event of [START, chunk(40), chunk(60), chunk(90), END]) hook(event)
  const found = await metrics()
  const sums = Object.fromEntries(
    [...found].map(([name, { dataPoints, descriptor }]) => [
      name,
      [descriptor.unit, ...dataPoints.map(({ value }) => Number(value.sum?.toFixed(6)))],
    ]),
  )
  expect(sums).toEqual({
    'gen_ai.client.operation.duration': ['s', 0.1],
    'gen_ai.client.operation.time_to_first_chunk': ['s', 0.04],
    'gen_ai.client.operation.time_per_output_chunk': ['s', 0.05],
    'gen_ai.client.token.usage': ['{token}', 10, 4],
    'gen_ai.server.request.duration': ['s', 0.095],
    'gen_ai.server.time_to_first_token': ['s', 0.03],
    'gen_ai.server.time_per_output_token': ['s', 0.02],
  })
  const duration = found.get('gen_ai.client.operation.duration')?.dataPoints[0]
  expect(duration?.value.buckets.boundaries.slice(0, 3)).toEqual([0.01, 0.02, 0.04])
  expect(duration?.attributes).toEqual({
    'gen_ai.operation.name': 'chat',
    'gen_ai.provider.name': 'tabserve',
    'gen_ai.request.model': 'chat',
    'gen_ai.response.model': 'm',
    'tabserve.model.version': '2',
  })
})

test('a failure is an error span; what is not a traceparent starts a trace; content is there where it is told', async () => {
  const { hook, spans } = startSdk()
  hook({ ...START, traceparent: `00-${'0'.repeat(32)}-00f067aa0ba902b7-01`, input: 'a secret' })
  const { work: _, queuedMs: _1, scheduledMs: _2, firstTokenMs: _3, lastTokenMs: _4, ...end } = END
  hook({ ...end, finishReasons: [], error: 'queue_full', output: ['well'] })
  const [request, ...others] = spans()
  expect(others).toEqual([])
  expect(request?.parentSpanContext).toBeUndefined()
  expect(request?.status).toEqual({ code: 2, message: 'queue_full' })
  expect(request?.attributes).toMatchObject({
    'error.type': 'queue_full',
    'gen_ai.input.messages': '[{"role":"user","parts":[{"type":"text","content":"a secret"}]}]',
    'gen_ai.output.messages':
      '[{"role":"assistant","parts":[{"type":"text","content":"well"}],"finish_reason":"error"}]',
  })
})

function startSdk() {
  const spanExporter = new InMemorySpanExporter()
  const tracerProvider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spanExporter)] })
  const metricExporter = new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE)
  const reader = new PeriodicExportingMetricReader({ exporter: metricExporter, exportIntervalMillis: 60_000 })
  const meterProvider = new MeterProvider({ readers: [reader] })
  return {
    hook: openTelemetry({ tracerProvider, meterProvider }),
    spans: () => spanExporter.getFinishedSpans(),
    async metrics() {
      await meterProvider.forceFlush()
      await meterProvider.shutdown()
      const all = metricExporter.getMetrics().flatMap(({ scopeMetrics }) => scopeMetrics)
      // Every instrument here is a histogram.
      const found = all.flatMap(({ metrics }) => metrics) as HistogramMetricData[]
      return new Map(found.map((metric) => [metric.descriptor.name, metric]))
    },
  }
}
