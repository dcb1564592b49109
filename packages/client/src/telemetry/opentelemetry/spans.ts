import type { Attributes, Span, TimeInput, Tracer } from '@opentelemetry/api'
import { SpanKind, SpanStatusCode, trace } from '@opentelemetry/api'
import type {
  ErrorCode,
  InferEndEvent,
  InferStartEvent,
  RequestEndEvent,
  RequestStartEvent,
} from '@tabserve/protocol'
import { oneShotStages } from '@tabserve/protocol'
import {
  endAttributes,
  oneShotEndAttributes,
  oneShotOperation,
  oneShotStartAttributes,
  startAttributes,
} from './attributes.ts'
import { parentOf } from './trace-context.ts'

/** One span a request, INTERNAL, because the model runs here; its queue, prefill and decode, or its stages, as spans below it. */
export class RequestSpans {
  readonly #tracer: Tracer
  readonly #open = new Map<string, Span>()

  constructor(tracer: Tracer) {
    this.#tracer = tracer
  }

  start(event: RequestStartEvent): void {
    this.#begin(event, `${event.params.operation} ${event.model}`, startAttributes(event))
  }

  startOneShot(event: InferStartEvent): void {
    this.#begin(event, `${oneShotOperation(event)} ${event.asked}`, oneShotStartAttributes(event))
  }

  end(event: RequestEndEvent): void {
    const span = this.#open.get(event.id)
    if (span === undefined) return
    const { queuedMs, scheduledMs, firstTokenMs, lastTokenMs } = event
    this.#child(span, 'tabserve.queue', queuedMs, scheduledMs)
    this.#child(span, 'tabserve.prefill', scheduledMs, firstTokenMs)
    this.#child(span, 'tabserve.decode', firstTokenMs, lastTokenMs)
    this.#finish(span, event, endAttributes(event))
  }

  endOneShot(event: InferEndEvent): void {
    const span = this.#open.get(event.id)
    if (span === undefined) return
    for (const { name, fromMs, toMs } of oneShotStages(event))
      this.#child(span, `tabserve.${name}`, fromMs, toMs)
    this.#finish(span, event, oneShotEndAttributes(event))
  }

  #begin(event: RequestStartEvent | InferStartEvent, name: string, attributes: Attributes): void {
    const options = { kind: SpanKind.INTERNAL, startTime: event.timeMs, attributes }
    this.#open.set(event.id, this.#tracer.startSpan(name, options, parentOf(event.traceparent)))
  }

  #finish(
    span: Span,
    { id, timeMs, error }: { readonly id: string; readonly timeMs: number; readonly error?: ErrorCode },
    attributes: Attributes,
  ): void {
    this.#open.delete(id)
    span.setAttributes(attributes)
    if (error !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: error })
    span.end(timeMs)
  }

  #child(parent: Span, name: string, startTime: TimeInput | undefined, endTime: TimeInput | undefined): void {
    if (startTime === undefined || endTime === undefined) return
    const below = trace.setSpan(parentOf(undefined), parent)
    this.#tracer.startSpan(name, { kind: SpanKind.INTERNAL, startTime }, below).end(endTime)
  }
}
