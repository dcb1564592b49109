import type { KvBlockStats, StepKind, TelemetryEvent } from '@tabserve/protocol'
import type { Choices } from './choices.ts'
import type { Observer } from './observer.ts'

/** What a forward pass was and took. Milliseconds. */
export interface StepRecord {
  readonly kind: StepKind
  /** Deciding, and booking what was read. */
  readonly planMs: number
  readonly copyMs: number
  readonly runMs: number
  /** Choosing tokens. */
  readonly sampleMs: number
  readonly rows: number
  readonly tokens: number
  readonly promptTokens: number
  readonly generatedTokens: number
  readonly draftTokens: number
  readonly acceptedTokens: number
}

/** How an engine stands behind a step. */
export interface Standing {
  readonly running: number
  readonly waiting: number
  readonly kvUsage: number
  readonly blocks?: KvBlockStats
}

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
