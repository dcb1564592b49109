import type { StepEvent, TelemetryEvent } from '@tabserve/protocol'
import type { Choices } from './choices.ts'
import type { Observer } from './observer.ts'

/** What a forward pass was and took. Milliseconds. */
export type StepRecord = Omit<
  StepEvent,
  'type' | 'timeMs' | 'worker' | 'model' | 'iteration' | 'ms' | keyof Standing
>

/** How an engine stands behind a step. */
export type Standing = Pick<StepEvent, 'running' | 'waiting' | 'kvUsage' | 'blocks'>

/** Puts what an engine does into events, for an observer that listens. */
export class Reporter {
  readonly #observer: Observer
  readonly #now: () => number
  #iteration = 0

  constructor(observer: Observer, now: () => number) {
    this.#observer = observer
    this.#now = now
  }

  queued(choices: Choices, priority: number): void {
    const { promptTokens, submittedMs, sequences } = choices
    this.#tellOf(choices, submittedMs, (of) => ({
      type: 'request-queued',
      ...of,
      promptTokens,
      priority,
      n: sequences.length,
    }))
  }

  scheduled(choices: Choices, timeMs: number): void {
    const { cachedTokens } = choices
    this.#tellOf(choices, timeMs, (of) => ({ type: 'request-scheduled', ...of, cachedTokens }))
  }

  firstToken(choices: Choices, timeMs: number): void {
    this.#tellOf(choices, timeMs, (of) => ({ type: 'request-first-token', ...of }))
  }

  preempted(choices: Choices, choice: number): void {
    this.#tellOf(choices, this.#now(), (of) => ({ type: 'request-preempted', ...of, choice }))
  }

  /** @param standing asked for only where somebody listens. */
  stepped(record: StepRecord, standing: () => Standing): void {
    this.#iteration++
    if (!this.#observer.isOn) return
    const { planMs, copyMs, runMs, sampleMs } = record
    this.#observer.tell({
      type: 'step',
      ...this.#ofModel(this.#now()),
      iteration: this.#iteration,
      ...record,
      ms: planMs + copyMs + runMs + sampleMs,
      ...standing(),
    })
  }

  deviceLost(message: string, recoveryMs: number, recovered: boolean): void {
    if (!this.#observer.isOn) return
    this.#observer.tell({
      type: 'device-lost',
      ...this.#ofModel(this.#now()),
      message,
      recoveryMs,
      recovered,
    })
  }

  #tellOf(
    { id }: Choices,
    timeMs: number,
    event: (of: { id: string; worker: string; model: string; timeMs: number }) => TelemetryEvent,
  ): void {
    if (this.#observer.isOn && this.#observer.isSampled(id))
      this.#observer.tell(event({ id, ...this.#ofModel(timeMs) }))
  }

  #ofModel(timeMs: number): { timeMs: number; worker: string; model: string } {
    const { worker, model } = this.#observer
    return { timeMs, worker, model }
  }
}
