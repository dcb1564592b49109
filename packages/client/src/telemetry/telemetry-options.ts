import type { TelemetryEvent } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { refuse } from '../unknown-options.ts'

/** Called with everything that happens, on the page. What it throws is written to the console, once, and harms nothing. */
export type TelemetryHook = (event: TelemetryEvent) => void

/** Who hears what happens, and how much of it. */
export interface TelemetryOptions {
  readonly hook?: TelemetryHook
  /** Share of requests that are told of, 0 to 1; chosen by `requestId`, so the same one is always told of. Default 1. */
  readonly sample?: number
  /** Whether prompts and answers are told, too. Default false. */
  readonly content?: boolean
  /** Whether requests and steps are measured by the browser's User Timing, for the Performance panel of its tools. Default false. */
  readonly userTiming?: boolean
}

export type CheckedTelemetry = Required<TelemetryOptions>

/** Throws `bad_request`. */
export function checkedTelemetry(
  options: TelemetryHook | TelemetryOptions | undefined,
): CheckedTelemetry | undefined {
  if (options === undefined) return undefined
  if (typeof options === 'function') return { hook: options, sample: 1, content: false, userTiming: false }
  const { hook = () => {}, sample = 1, content = false, userTiming = false, ...unknown } = options
  refuse(unknown, 'telemetry')
  if (typeof hook !== 'function') throw wrong('hook', hook, 'a function')
  if (!(typeof sample === 'number' && sample >= 0 && sample <= 1))
    throw wrong('sample', sample, 'a number from 0 to 1')
  if (typeof content !== 'boolean') throw wrong('content', content, 'true or false')
  if (typeof userTiming !== 'boolean') throw wrong('userTiming', userTiming, 'true or false')
  return { hook, sample, content, userTiming }
}

function wrong(option: string, value: unknown, must: string): EngineError {
  return new EngineError('bad_request', `telemetry.${option} ${String(value)} must be ${must}.`)
}
