import type { Span, TimeInput, Tracer } from '@opentelemetry/api'
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type { RequestEndEvent, RequestStartEvent } from '@tabserve/protocol'
import { endAttributes, startAttributes } from './attributes.ts'
import { parentOf } from './trace-context.ts'

/** One span a request, INTERNAL, because the model runs here; its queue, prefill and decode as spans below it. */
export class RequestSpans {
  readonly #tracer: Tracer
  readonly #open = new Map<string, Span>()

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  start(event: RequestStartEvent): void {
    const name = `${event.params.operation} ${event.model}`
    const options = {
      kind: SpanKind.INTERNAL,
      startTime: event.timeMs,
      attributes: startAttributes(event),
    }
    this.#open.set(event.id, this.#tracer.startSpan(name, options, parentOf(event.traceparent)))
  }

  end(event: RequestEndEvent): void {
    const span = this.#open.get(event.id)
    if (span === undefined) return
    this.#open.delete(event.id)
    const { queuedMs, scheduledMs, firstTokenMs, lastTokenMs, error } = event
    this.#child(span, 'tabserve.queue', queuedMs, scheduledMs)
    this.#child(span, 'tabserve.prefill', scheduledMs, firstTokenMs)
    this.#child(span, 'tabserve.decode', firstTokenMs, lastTokenMs)
    span.setAttributes(endAttributes(event))
    if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error })
    span.end(event.timeMs)
  }

  #child(parent: Span, name: string, startTime: TimeInput | undefined, endTime: TimeInput | undefined): void {
    if (startTime === undefined || endTime === undefined) return
    const below = trace.setSpan(parentOf(undefined), parent)
    this.#tracer.startSpan(name, { kind: SpanKind.INTERNAL, startTime }, below).end(endTime)
  }
}
