import { EngineError } from '@tabserve/protocol'
import type { Clock } from '../control/clock.ts'

/** Time is counted in beats, so that a page that slept gives its worker, which slept too, the rest of the time. */
const NUM_BEATS = 10

export interface StartLimit {
  readonly clock: Clock
  readonly startTimeoutMs: number
  /** Settles with the worker's first answer, or its death: what comes later is not limited here. */
  readonly firstSign: Promise<unknown>
  /** Called at most once. */
  readonly onLate: (error: EngineError) => void
}

/** Gives up on a worker that never says a word. No event tells of a file that runs without a fault and starts nothing. */
export function limitStart({ clock, startTimeoutMs, firstSign, onLate }: StartLimit): void {
  let numBeats = 0
  const beat = () => {
    if (++numBeats >= NUM_BEATS) onLate(silent(startTimeoutMs))
    else stop = wait()
  }
  const wait = () => clock.after(startTimeoutMs / NUM_BEATS, beat)
  let stop = wait()
  const heard = () => stop()
  firstSign.then(heard, heard)
}

function silent(startTimeoutMs: number): EngineError {
  return new EngineError(
    'engine_lost',
    `The worker said nothing for ${startTimeoutMs / 1000} s: its file must call startWorker() of tabserve/worker, at once and not behind an await that never ends. Where the line is slow, raise createClient's startTimeoutMs.`,
  )
}
