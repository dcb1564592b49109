import type { MeterProvider, TracerProvider } from '@opentelemetry/api'
import { metrics, trace } from '@opentelemetry/api'
import type { TelemetryHook } from '../telemetry-options.ts'
import { RequestMeters } from './metrics.ts'
import { SCHEMA_URL } from './semantic-conventions.ts'
import { RequestSpans } from './spans.ts'

/** Where spans and metrics go. */
export interface OpenTelemetryOptions {
  /** Default: those that were set globally. */
  readonly tracerProvider?: TracerProvider
  readonly meterProvider?: MeterProvider
}

interface Chunks {
  readonly operation: string
  lastMs: number | undefined
  readonly gapsMs: number[]
}

/** A telemetry hook that makes GenAI spans and metrics of what it hears, through `@opentelemetry/api`, which the app brings with an SDK. */
export function openTelemetry({ tracerProvider, meterProvider }: OpenTelemetryOptions = {}): TelemetryHook {
  const scope = ['tabserve', undefined, { schemaUrl: SCHEMA_URL }] as const
  const spans = new RequestSpans((tracerProvider ?? trace).getTracer(...scope))
  const meters = new RequestMeters((meterProvider ?? metrics).getMeter(...scope))
  const chunks = new Map<string, Chunks>()
  return (event) => {
    if (event.type === 'request-start') {
      spans.start(event)
      chunks.set(event.id, { operation: event.params.operation, lastMs: undefined, gapsMs: [] })
    } else if (event.type === 'request-tokens') {
      const of = chunks.get(event.id)
      if (of === undefined) return
      if (of.lastMs !== undefined) of.gapsMs.push(event.timeMs - of.lastMs)
      of.lastMs = event.timeMs
    } else if (event.type === 'request-end') {
      spans.end(event)
      const of = chunks.get(event.id)
      if (of !== undefined) meters.record(of.operation, event, of.gapsMs)
      chunks.delete(event.id)
    } else if (event.type === 'infer-start') spans.startOneShot(event)
    else if (event.type === 'infer-end') {
      spans.endOneShot(event)
      meters.recordOneShot(event)
    }
  }
}
