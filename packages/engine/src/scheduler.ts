import { EngineError } from '@tabserve/protocol'
import { BlockBooks } from './block-books.ts'
import type { KvBooks } from './kv-books.ts'
import { MixedSteps } from './mixed-steps.ts'
import type { Capabilities, KvCopy } from './model-runner.ts'
import { keptAtOverflow } from './resume.ts'
import { Roster } from './roster.ts'
import { RowBooks } from './row-books.ts'
import { RowSteps } from './row-steps.ts'
import { runningMean } from './running-mean.ts'
import type { Sequence } from './sequence.ts'
import type { Plan, SchedulerOptions, StepPolicy } from './step-policy.ts'

/** Retry hint before anything has ended. */
const UNKNOWN_WAIT_MS = 1000

/**
 * Decides the next step: who runs, and whether prompts are read or answers go on. Never waits, does nothing but keep books.
 * Continuous batching (Orca, OSDI 2022): every step is decided anew, so requests join and leave between any two. What a step can
 * be is the matter of a `StepPolicy`, one a kind of KV.
 */
export class Scheduler {
  readonly #capabilities: Capabilities
  readonly #options: SchedulerOptions
  readonly #kv: KvBooks
  readonly #roster: Roster
  readonly #policy: StepPolicy
  #copies: KvCopy[] = []
  #lastReleaseMs: number | undefined
  #msPerRelease: number | undefined

  /** Throws where the runner is of a kind that nobody plans for. */
  constructor(capabilities: Capabilities, options: SchedulerOptions) {
    const { mixed, paged, maxRows, maxContext } = capabilities
    if (mixed !== (paged !== undefined))
      throw new Error('a runner must have both mixed steps and KV in blocks, or neither')
    this.#capabilities = capabilities
    this.#options = options
    if (paged === undefined) {
      const kv = new RowBooks(maxRows, maxContext)
      this.#kv = kv
      this.#roster = new Roster(kv)
      this.#policy = new RowSteps(capabilities, options, kv, this.#roster)
    } else {
      const kv = new BlockBooks(capabilities, paged)
      this.#kv = kv
      this.#roster = new Roster(kv)
      this.#policy = new MixedSteps(capabilities, options, kv, this.#roster)
    }
  }

  /** @param listener called for every sequence that is sent back to wait. */
  onPreempted(listener: (sequence: Sequence) => void): void {
    this.#roster.onPreempted = listener
  }

  get numRunning(): number {
    return this.#roster.running.size
  }

  get numWaiting(): number {
    return this.#roster.waiting.size
  }

  get numPreemptions(): number {
    return this.#roster.numPreemptions
  }

  get kv(): Pick<KvBooks, 'usage' | 'blocks' | 'keptBy' | 'share' | 'letGo' | 'reserve'> {
    return this.#kv
  }

  /** Takes a request's sequences, all or none. Throws `queue_full`, with a retry hint. */
  add(sequences: readonly Sequence[]): void {
    const { waiting } = this.#roster
    const numOver = waiting.size + sequences.length - this.#kv.numFree
    const isImmediate = sequences.some(({ scheduling }) => scheduling.admission === 'immediate')
    const hasNoRoom = isImmediate && !this.#kv.hasRoomFor(sequences)
    const limit = isImmediate ? 0 : this.#options.maxWaiting
    if (numOver > limit || hasNoRoom) {
      const retryAfterMs = Math.ceil(this.#msPerRelease ?? UNKNOWN_WAIT_MS)
      const problem = isImmediate
        ? 'The request must not wait, and no place in the KV cache is free.'
        : `${waiting.size} answers are waiting, and ${limit} may.`
      const message = `${problem} Try again in about ${retryAfterMs} ms.`
      throw new EngineError('queue_full', message, { retryAfterMs })
    }
    for (const sequence of sequences) waiting.add(sequence)
  }

  /** Takes sequences of a scheduler whose runner is gone, however many: they were let in once. Their KV is gone too. */
  restore(sequences: readonly Sequence[]): void {
    for (const sequence of sequences) {
      sequence.numComputed = 0
      this.#roster.waiting.add(sequence)
    }
  }

  /** Says whether the sequence was there: what ends twice ends once. Its KV is free at once, and remembers. */
  remove(sequence: Sequence, now: number): boolean {
    if (this.#roster.waiting.remove(sequence)) return true
    if (!this.#roster.stop(sequence)) return false
    if (this.#lastReleaseMs !== undefined)
      this.#msPerRelease = runningMean(this.#msPerRelease, now - this.#lastReleaseMs)
    this.#lastReleaseMs = now
    return true
  }

  has(sequence: Sequence): boolean {
    return this.#roster.running.has(sequence)
  }

  sequences(): readonly Sequence[] {
    return [...this.#roster.running, ...this.#roster.waiting]
  }

  /** Those whose time is over. */
  expired(now: number): readonly Sequence[] {
    return this.sequences().filter(({ dueMs }) => now >= dueMs)
  }

  /** When the next of them is over, on the engine's clock; `Infinity`: never. */
  nextDeadline(): number {
    return Math.min(...this.sequences().map(({ dueMs }) => dueMs))
  }

  /** The next forward pass, or `undefined` when there is nothing to do. */
  plan(): Plan | undefined {
    const plan = this.#policy.plan(this.#copies)
    // Who was let in may have to rest at once: what is copied for him waits for the next pass.
    if (plan !== undefined) this.#copies = []
    return plan
  }

  /** Copies that were booked for the next pass and must be carried out before anybody reads or writes KV without one. */
  takeCopies(): readonly KvCopy[] {
    return this.#copies.splice(0)
  }

  /** Books that the KV of these tokens, from `numComputed` on, is there. */
  computed(sequence: Sequence, tokens: readonly number[]): void {
    this.#kv.write(sequence, tokens)
    sequence.numComputed += tokens.length
  }

  /** Drops the oldest tokens of a sequence whose context is full; what is left is read anew. */
  dropOldest(sequence: Sequence): void {
    sequence.dropOldest(keptAtOverflow(this.#capabilities.maxContext))
    if (this.has(sequence)) this.#kv.truncate(sequence)
  }

  /** What a step cost: chunk sizes and drafts follow. */
  measured(plan: Plan, ms: number, numAccepted: number): void {
    this.#policy.measured(plan, ms, numAccepted)
  }

  resetPrefixCache(): void {
    this.#kv.reset()
  }

  /** Throws where the books are wrong. For tests. */
  check(): void {
    this.#kv.check(this.#roster.running)
  }
}
