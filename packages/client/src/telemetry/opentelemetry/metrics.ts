import type { Histogram, Meter } from '@opentelemetry/api'
import type { InferEndEvent, RequestEndEvent } from '@tabserve/protocol'
import { metricAttributes, oneShotOperation, secondsBetween } from './attributes.ts'
import { ATTRIBUTE, BUCKETS, METRIC } from './semantic-conventions.ts'

/** The conventions' metrics: of the client as the page saw it, of the server as the engine did. */
export class RequestMeters {
  readonly #operationDuration: Histogram
  readonly #tokenUsage: Histogram
  readonly #firstChunk: Histogram
  readonly #chunk: Histogram
  readonly #requestDuration: Histogram
  readonly #firstToken: Histogram
  readonly #tokenTime: Histogram

  constructor(meter: Meter) {
    const seconds = (name: string, bounds: readonly number[]) =>
      meter.createHistogram(name, { unit: 's', advice: { explicitBucketBoundaries: [...bounds] } })
    this.#operationDuration = seconds(METRIC.operationDuration, BUCKETS.duration)
    this.#tokenUsage = meter.createHistogram(METRIC.tokenUsage, {
      unit: '{token}',
      advice: { explicitBucketBoundaries: [...BUCKETS.tokens] },
    })
    this.#firstChunk = seconds(METRIC.firstChunk, BUCKETS.firstToken)
    this.#chunk = seconds(METRIC.chunk, BUCKETS.tokenTime)
    this.#requestDuration = seconds(METRIC.requestDuration, BUCKETS.duration)
    this.#firstToken = seconds(METRIC.firstToken, BUCKETS.firstToken)
    this.#tokenTime = seconds(METRIC.tokenTime, BUCKETS.tokenTime)
  }

  /** @param chunkGapsMs from each chunk to the next. */
  record(operation: string, event: RequestEndEvent, chunkGapsMs: readonly number[]): void {
    const attributes = metricAttributes(operation, event)
    const { usage, arrivalMs, timeMs, firstDeltaMs, queuedMs, firstTokenMs, lastTokenMs } = event
    const record = (histogram: Histogram, value: number | undefined) => {
      if (value !== undefined) histogram.record(value, attributes)
    }
    record(this.#operationDuration, secondsBetween(arrivalMs, timeMs))
    record(this.#firstChunk, secondsBetween(arrivalMs, firstDeltaMs))
    for (const gapMs of chunkGapsMs) record(this.#chunk, gapMs / 1000)
    if (event.error === undefined) {
      this.#tokenUsage.record(usage.promptTokens, { ...attributes, [ATTRIBUTE.tokenType]: 'input' })
      this.#tokenUsage.record(usage.completionTokens, { ...attributes, [ATTRIBUTE.tokenType]: 'output' })
    }
    if (queuedMs === undefined) return
    record(this.#requestDuration, secondsBetween(queuedMs, timeMs))
    record(this.#firstToken, secondsBetween(queuedMs, firstTokenMs))
    const decode = secondsBetween(firstTokenMs, lastTokenMs)
    // Of several answers at once there is no one time a token.
    if (decode !== undefined && event.finishReasons.length === 1 && usage.completionTokens > 1)
      record(this.#tokenTime, decode / (usage.completionTokens - 1))
  }

  /** Of a one-shot request: how long it took, as the page saw it and as the worker did. */
  recordOneShot(event: InferEndEvent): void {
    const { asked, model, error, arrivalMs, timeMs, timing } = event
    const answered = { asked, model, servedBy: 'local' as const, ...(error === undefined ? {} : { error }) }
    const attributes = metricAttributes(oneShotOperation(event), answered)
    this.#operationDuration.record(Math.max(0, timeMs - arrivalMs) / 1000, attributes)
    if (timing !== undefined) this.#requestDuration.record(timing.totalMs / 1000, attributes)
  }
}
