import type { Pulse } from '@tabserve/protocol'

/**
 * Tells a stuck worker from a busy one. Both are late to answer; but a busy one answers between two steps, or its counters grow. Time is
 * counted in ticks of the caller's timer, so a page that slept, whose timers slept too, finds no fault with its worker when it wakes.
 */
export class Heartbeat {
  /** Ticks since the question that is not answered yet. */
  #unanswered: number | undefined
  /** Answers in a row that told of work and of no progress. */
  #numStalled = 0
  #progress: number | undefined

  /** One tick has passed. What is wrong with the worker, once that has lasted for `limit` ticks. */
  tick(limit: number): string | undefined {
    if (this.#unanswered !== undefined && ++this.#unanswered >= limit) return 'it hung and did not answer'
    return this.#numStalled >= limit ? 'it had work and made no progress' : undefined
  }

  /** Whether it is time to ask for a pulse: never while one is awaited. */
  beat(): boolean {
    if (this.#unanswered !== undefined) return false
    this.#unanswered = 0
    return true
  }

  answered({ busy, progress }: Pulse): void {
    this.#unanswered = undefined
    this.#numStalled = busy && progress === this.#progress ? this.#numStalled + 1 : 0
    this.#progress = progress
  }
}
