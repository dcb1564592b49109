import type { BlockBooks } from './block-books.ts'
import { DraftJudge } from './draft-judge.ts'
import type { Capabilities, KvCopy } from './model-runner.ts'
import { Pace } from './pace.ts'
import { draftLimit, proposeNgram } from './proposer.ts'
import type { Roster } from './roster.ts'
import type { Sequence } from './sequence.ts'
import type { Plan, SchedulerOptions, StepPolicy } from './step-policy.ts'
import { runOf } from './step-policy.ts'
import { byRank, goesBefore } from './waiting-queue.ts'

/** What one sequence does in a step. */
interface Share {
  readonly sequence: Sequence
  /** Tokens that are known. */
  readonly length: number
  /** Guesses behind them. */
  readonly draft: readonly number[]
}

/**
 * Steps of a runner that takes any runs side by side, with KV in blocks: every answer goes on by a token in every step, and what
 * is left of the step goes to prompts (chunked prefill, Sarathi-Serve, OSDI 2024), or to guesses where no prompt is to be read.
 * Blocks are taken as texts grow; when they run out, who ranks last makes room and is computed again later. So the one who
 * ranks first always goes on: all blocks together hold at least one whole context.
 */
export class MixedSteps implements StepPolicy {
  readonly #capabilities: Capabilities
  readonly #options: SchedulerOptions
  readonly #kv: BlockBooks
  readonly #roster: Roster
  readonly #pace: Pace
  /** One a number of answers: what guesses cost beside eight answers says nothing about a lone one. */
  readonly #judges = new Map<number, DraftJudge>()
  /** Where there are more sequences than a step has tokens, steps go round. */
  #numServed = 0

  constructor(capabilities: Capabilities, options: SchedulerOptions, kv: BlockBooks, roster: Roster) {
    this.#capabilities = capabilities
    this.#options = options
    this.#kv = kv
    this.#roster = roster
    this.#pace = new Pace(options.targetGapMs, capabilities.maxTokensPerStep)
  }

  plan(copies: KvCopy[]): Plan | undefined {
    this.#makeRoom(copies)
    this.#admit(copies)
    const served = this.#served()
    const decoding = served.filter(({ numPending }) => numPending === 1)
    const reading = served.filter(({ numPending }) => numPending > 1)
    const prompts = this.#read(reading, decoding.length)
    // Not beside a prompt that must wait for this step either: only plain steps renew the quota.
    const answers = reading.length === 0 ? this.#guess(decoding, copies) : decoding.map(plainShare)
    const shares = [...answers, ...prompts]
    if (shares.length === 0) return undefined
    const hasDrafts = answers.some(({ draft }) => draft.length > 0)
    const kind =
      prompts.length > 0 ? (answers.length > 0 ? 'mixed' : 'prefill') : hasDrafts ? 'verify' : 'decode'
    return {
      kind,
      copies,
      step: { runs: shares.map((share) => this.#runOf(share)) },
      parts: shares.map(({ sequence, draft }) => ({ sequence, numDraft: draft.length })),
      numPromptTokens: prompts.reduce((sum, { length }) => sum + length, 0),
    }
  }

  measured({ kind, step: { runs }, numPromptTokens }: Plan, ms: number, numAccepted: number): void {
    if (kind === 'prefill') return this.#pace.prefilled(numPromptTokens, ms)
    if (kind === 'mixed') return this.#pace.mixed(numPromptTokens, ms)
    const judge = this.#judgeOf(runs.length)
    if (kind === 'verify') return judge.verified(numAccepted / runs.length, ms)
    judge.decoded(ms)
    this.#pace.decoded(ms)
  }

  /** Blocks for the tokens of those who run, in order of rank; who ranks last goes where there are too few. */
  #makeRoom(copies: KvCopy[]): void {
    const { running } = this.#roster
    for (const sequence of [...running].sort(byRank)) {
      while (running.has(sequence) && !this.#resize(sequence, sequence.tokens.length, copies))
        this.#roster.preempt(this.#roster.last() ?? sequence)
    }
  }

  /**
   * Lets in who waits, in order of rank, as long as there is room. One whose beginning is just being read for a better one
   * waits until it can be shared; his seat is kept. Who was just sent back does not come in again: all that he freed is not enough, as a block
   * of it was wanted, and he would have to leave others besides.
   */
  #admit(copies: KvCopy[]): void {
    let numKept = 0
    for (const sequence of this.#roster.waiting.first(this.#capabilities.maxRows)) {
      if (sequence.scheduling.admission !== 'immediate' && this.#isBeingRead(sequence)) {
        numKept++
        continue
      }
      while (this.#kv.numFree <= numKept || !this.#roster.start(sequence, copies))
        if (!sequence.scheduling.preempt || !this.#roster.preemptFor(sequence)) return
    }
  }

  #isBeingRead(sequence: Sequence): boolean {
    for (const other of this.#roster.running)
      if (other.numPending > 1 && goesBefore(other, sequence) && this.#kv.awaits(sequence, other)) return true
    return false
  }

  /** Those who run and do not rest, in order of rank; at most as many as a step has tokens. */
  #served(): readonly Sequence[] {
    const ranked = [...this.#roster.running].filter(({ numReady }) => numReady > 0).sort(byRank)
    const { maxTokensPerStep } = this.#capabilities
    if (ranked.length <= maxTokensPerStep) return ranked
    const first = this.#numServed % ranked.length
    this.#numServed = first + maxTokensPerStep
    return [...ranked.slice(first), ...ranked.slice(0, first)].slice(0, maxTokensPerStep)
  }

  /** Pieces of prompts, as much as the step and the pace have room for. */
  #read(reading: readonly Sequence[], numAnswers: number): readonly Share[] {
    const room = this.#capabilities.maxTokensPerStep - numAnswers
    let left = numAnswers > 0 ? Math.min(room, this.#pace.quota) : room
    const shares: Share[] = []
    for (const sequence of reading) {
      if (left === 0) break
      const length = Math.min(sequence.numReady, left)
      left -= length
      shares.push({ sequence, length, draft: [] })
    }
    return shares
  }

  /** The due token of each answer, with guesses where they pay, fit, and need no other to go. */
  #guess(decoding: readonly Sequence[], copies: KvCopy[]): readonly Share[] {
    const { maxContext, maxTokensPerStep } = this.#capabilities
    let left = maxTokensPerStep - decoding.length
    if (this.#options.speculation === 'off' || decoding.length === 0 || left === 0)
      return decoding.map(plainShare)
    if (!this.#judgeOf(decoding.length).isWorthwhile()) return decoding.map(plainShare)
    return decoding.map((sequence) => {
      const draft = proposeNgram(sequence.tokens, Math.min(draftLimit(sequence, maxContext), left))
      const isPossible =
        draft.length > 0 && this.#resize(sequence, sequence.tokens.length + draft.length, copies)
      if (!isPossible) return plainShare(sequence)
      left -= draft.length
      return { sequence, length: 1, draft }
    })
  }

  #judgeOf(numAnswers: number): DraftJudge {
    const judge = this.#judges.get(numAnswers) ?? new DraftJudge()
    this.#judges.set(numAnswers, judge)
    return judge
  }

  #resize(sequence: Sequence, length: number, copies: KvCopy[]): boolean {
    const found = this.#kv.resize(sequence, length)
    if (found !== undefined) copies.push(...found)
    return found !== undefined
  }

  #runOf({ sequence, length, draft }: Share) {
    const { numComputed, numPending, promptLogprobs } = sequence
    const kv = { blocks: this.#kv.tableOf(sequence, numComputed + length + draft.length) }
    if (draft.length > 0) return runOf(kv, sequence, 'all', length, draft)
    if (numPending === 1) return runOf(kv, sequence, 'last', length)
    const wanted = promptLogprobs !== undefined ? 'all' : length === numPending ? 'last' : 'none'
    return runOf(kv, sequence, wanted, length)
  }
}

function plainShare(sequence: Sequence): Share {
  return { sequence, length: 1, draft: [] }
}
