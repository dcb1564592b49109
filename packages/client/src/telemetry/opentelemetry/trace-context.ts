import type { Context } from '@opentelemetry/api'
import { context, trace } from '@opentelemetry/api'

/** Where a request belongs: to the span that its `traceparent` names (https://www.w3.org/TR/trace-context/), else to the one that runs now. */
export function parentOf(traceparent: string | undefined): Context {
  const current = context.active()
  const [, version, traceId, spanId, flags] =
    /^([\da-f]{2})-([\da-f]{32})-([\da-f]{16})-([\da-f]{2})(-.*)?$/.exec(traceparent ?? '') ?? []
  const isKnown = version !== 'ff' && !/^0*$/.test(traceId ?? '') && !/^0*$/.test(spanId ?? '')
  if (traceId === undefined || spanId === undefined || flags === undefined || !isKnown) return current
  return trace.setSpanContext(current, {
    traceId,
    spanId,
    traceFlags: Number.parseInt(flags, 16),
    isRemote: true,
  })
}
