import type { Capabilities, Run, Step } from './model-runner.ts'
import type { Sequence } from './sequence.ts'

/** What a step computes, and for whom. */
export interface Plan {
  readonly step: Step
  /** One a run, in the same order. */
  readonly sequences: readonly Sequence[]
}

/** Decides the next step. First come, first served, one sequence at a time: batching is to come, and comes in here. */
export class Scheduler {
  readonly #queue = new Set<Sequence>()
  readonly #maxTokensPerStep: number

  constructor({ maxTokensPerStep }: Pick<Capabilities, 'maxTokensPerStep'>) {
    this.#maxTokensPerStep = maxTokensPerStep
  }

  add(sequence: Sequence): void {
    this.#queue.add(sequence)
  }

  /** Says whether the sequence was there: what ends twice ends once. */
  remove(sequence: Sequence): boolean {
    return this.#queue.delete(sequence)
  }

  has(sequence: Sequence): boolean {
    return this.#queue.has(sequence)
  }

  sequences(): readonly Sequence[] {
    return [...this.#queue]
  }

  /** The next forward pass, or `undefined` when there is nothing to do. */
  plan(): Plan | undefined {
    const [sequence] = this.#queue
    if (sequence === undefined) return undefined
    const { numComputed: from, numPending, tokens } = sequence
    const count = Math.min(numPending, this.#maxTokensPerStep)
    const wantLogits: Run['wantLogits'] = count === numPending ? 'last' : 'none'
    const run = { row: 0, from, tokens: Int32Array.from(tokens.slice(from, from + count)), wantLogits }
    return { step: { runs: [run] }, sequences: [sequence] }
  }
}
