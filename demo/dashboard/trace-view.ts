import { make } from '../chat/element.ts'
import { brief } from './brief.ts'
import type { Trace } from './recorder.ts'

/** One request as a waterfall: what it waited for, and the forward passes beneath. */
export function showTrace(host: HTMLElement, { end, steps }: Trace): void {
  const { arrivalMs, queuedMs, scheduledMs, firstTokenMs, lastTokenMs, timeMs, usage } = end
  const whole = timeMs - arrivalMs
  const row = (name: string, kind: string, spans: readonly Span[], note: string) => {
    const bar = make('div', { className: 'lane' })
    for (const { fromMs, toMs, title } of spans) {
      const left = Math.max(0, (100 * (fromMs - arrivalMs)) / whole)
      const block = make('i', { className: kind })
      block.style.left = `${left}%`
      block.style.width = `${Math.min(100 - left, Math.max(0.2, (100 * (toMs - fromMs)) / whole))}%`
      if (title !== undefined) block.title = title
      bar.append(block)
    }
    return [make('span', { text: name }), bar, make('span', { text: note, className: 'note' })]
  }
  const phase = (name: string, kind: string, fromMs: number | undefined, toMs: number | undefined) =>
    fromMs === undefined || toMs === undefined
      ? []
      : row(name, kind, [{ fromMs, toMs }], brief(toMs - fromMs))
  const passes = steps.map(({ timeMs, ms, kind, rows, tokens }) => ({
    fromMs: timeMs - ms,
    toMs: timeMs,
    title: `${kind}: ${tokens} tokens for ${rows} answers, ${ms.toFixed(1)} ms`,
  }))
  host.replaceChildren(
    ...row('request', 'request', [{ fromMs: arrivalMs, toMs: timeMs }], brief(whole)),
    ...phase('to the worker', 'travel', arrivalMs, queuedMs),
    ...phase('queue', 'queue', queuedMs, scheduledMs),
    ...phase('prefill', 'prefill', scheduledMs, firstTokenMs),
    ...phase('decode', 'decode', firstTokenMs, lastTokenMs),
    ...row('forward passes', 'pass', passes, String(passes.length)),
  )
  host.dataset['request'] = end.id
  const cached = `${usage.promptTokens} prompt tokens, ${usage.cachedTokens} of them cached`
  host.setAttribute(
    'aria-label',
    `Request ${end.id} to ${end.model}: ${cached}, ${usage.completionTokens} generated`,
  )
}

interface Span {
  readonly fromMs: number
  readonly toMs: number
  readonly title?: string
}
