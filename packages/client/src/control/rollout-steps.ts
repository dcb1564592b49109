import { EngineError } from '@tabserve/protocol'

export interface RolloutStepOptions {
  /** Percent of the traffic that the new version gets, in order, each larger than the one before. Default 5, 25, 50, 100. */
  readonly steps?: readonly number[]
  /** Least time in each step, milliseconds. Default 60 000. */
  readonly holdMs?: number
  /** Most time in one step, for want of requests to judge by; then it is rolled back. Default: any. */
  readonly progressDeadlineMs?: number
}

export type RolloutDecision =
  | { readonly type: 'stay' }
  | { readonly type: 'step'; readonly weight: number }
  | { readonly type: 'promote' }
  | { readonly type: 'rollback'; readonly reason: string }

/** Where a rollout stands and where it goes next: a function of time and of what was seen. */
export class RolloutSteps {
  readonly #weights: readonly number[]
  readonly #holdMs: number
  readonly #deadlineMs: number
  readonly #minRequests: number
  #index = 0
  /** When the present step began. */
  #since = 0

  /** Throws `bad_request`. */
  constructor(
    { steps = [5, 25, 50, 100], holdMs = 60_000, progressDeadlineMs = Infinity }: RolloutStepOptions,
    minRequests: number,
  ) {
    const rises = steps.every((weight, index) => weight > (steps[index - 1] ?? 0) && weight <= 100)
    if (steps.length === 0 || !rises)
      throw new EngineError(
        'bad_request',
        `steps [${steps.join(', ')}] must rise from above 0 to at most 100 percent.`,
      )
    for (const [name, value] of Object.entries({ holdMs, progressDeadlineMs }))
      if (!(value >= 0))
        throw new EngineError('bad_request', `${name} ${String(value)} must be a number from 0.`)
    this.#weights = steps
    this.#holdMs = holdMs
    this.#deadlineMs = progressDeadlineMs
    this.#minRequests = minRequests
  }

  begin(now: number): void {
    this.#since = now
  }

  get weight(): number {
    return this.#weights[this.#index] ?? 100
  }

  get since(): number {
    return this.#since
  }

  /** How often `next` should be asked, however little happens. */
  get intervalMs(): number {
    return Math.min(1000, Math.max(20, this.#holdMs / 10))
  }

  /** @param broken which guard was broken in this step, if any. @param ended requests of the new version that ended in this step. */
  next(now: number, broken: string | undefined, ended: number): RolloutDecision {
    if (broken !== undefined) return { type: 'rollback', reason: broken }
    const heldMs = now - this.#since
    if (heldMs >= this.#holdMs && ended >= this.#minRequests) {
      this.#index++
      this.#since = now
      return this.#index < this.#weights.length ? { type: 'step', weight: this.weight } : { type: 'promote' }
    }
    if (heldMs <= this.#deadlineMs) return { type: 'stay' }
    const reason = `progress deadline: ${ended} of ${this.#minRequests} requests ended at ${this.weight} % within ${this.#deadlineMs} ms`
    return { type: 'rollback', reason }
  }
}
