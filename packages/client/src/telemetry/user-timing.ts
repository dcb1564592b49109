import type { InferEndEvent, RequestEndEvent, StepEvent } from '@tabserve/protocol'
import { oneShotStages } from '@tabserve/protocol'
import type { TelemetryHook } from './telemetry-options.ts'

type Color = 'primary' | 'secondary' | 'tertiary' | 'error'
type Properties = readonly (readonly [string, string | number])[]

/**
 * Shows requests and steps in the Performance panel of the browser's tools: each request as a measure, with its queue, prefill and decode below it,
 * and each worker's steps on a track of their own (https://developer.chrome.com/docs/devtools/performance/extension). A `PerformanceObserver` sees
 * them too. Entries are let go at once: a page that lives for days must not collect them.
 */
export function userTiming(): TelemetryHook {
  return (event) => {
    if (event.type === 'request-end') measureRequest(event)
    else if (event.type === 'infer-end') measureOneShot(event)
    else if (event.type === 'step') measureStep(event)
  }
}

function measureRequest(event: RequestEndEvent): void {
  const { id, model, arrivalMs, queuedMs, scheduledMs, firstTokenMs, lastTokenMs, timeMs } = event
  const { usage, finishReasons, error } = event
  const track = `request ${id}`
  const properties: Properties = [
    ['model', model],
    ['prompt tokens', usage.promptTokens],
    ['cached tokens', usage.cachedTokens],
    ['generated tokens', usage.completionTokens],
    ['ended with', error ?? finishReasons.join(', ')],
  ]
  measure('tabserve.request', arrivalMs, timeMs, track, error === undefined ? 'primary' : 'error', properties)
  measure('tabserve.queue', queuedMs, scheduledMs, track, 'tertiary', [])
  measure('tabserve.prefill', scheduledMs, firstTokenMs, track, 'secondary', [])
  measure('tabserve.decode', firstTokenMs, lastTokenMs, track, 'primary', [])
}

function measureOneShot(event: InferEndEvent): void {
  const { id, model, arrivalMs, timeMs, batchSize, isCached, error } = event
  const track = `request ${id}`
  const color = error === undefined ? 'primary' : 'error'
  measure('tabserve.request', arrivalMs, timeMs, track, color, [
    ['model', model],
    ['rows together', batchSize],
    ['ended with', error ?? (isCached ? 'an answer that was kept' : 'an answer')],
  ])
  for (const { name, fromMs, toMs } of oneShotStages(event))
    measure(`tabserve.${name}`, fromMs, toMs, track, name === 'inference' ? 'primary' : 'secondary', [])
}

function measureStep({ worker, kind, timeMs, ms, rows, tokens, runMs }: StepEvent): void {
  measure(`tabserve.step.${kind}`, timeMs - ms, timeMs, `steps of ${worker}`, 'secondary', [
    ['rows', rows],
    ['tokens', tokens],
    ['forward pass', `${runMs.toFixed(2)} ms`],
  ])
}

/** What has no beginning or no end is not shown. */
function measure(
  name: string,
  startMs: number | undefined,
  endMs: number | undefined,
  track: string,
  color: Color,
  properties: Properties,
): void {
  if (startMs === undefined || endMs === undefined) return
  // A worker may be older than the page that listens to it, and no measure begins before its page.
  const start = Math.max(0, startMs - performance.timeOrigin)
  const end = Math.max(start, endMs - performance.timeOrigin)
  const devtools = { dataType: 'track-entry', trackGroup: 'tabserve', track, color, properties }
  performance.measure(name, { start, end, detail: { devtools } })
  performance.clearMeasures(name)
}
