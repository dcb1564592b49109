import { DraftJudge } from './draft-judge.ts'
import type { Capabilities, KvCopy, Run } from './model-runner.ts'
import { Pace } from './pace.ts'
import { BLOCK_TOKENS } from './prefix-index.ts'
import { draftLimit, proposeNgram } from './proposer.ts'
import type { Roster } from './roster.ts'
import type { RowBooks } from './row-books.ts'
import { commonLength } from './kv-rows.ts'
import type { Sequence } from './sequence.ts'
import type { Plan, SchedulerOptions, StepPolicy } from './step-policy.ts'
import { runOf } from './step-policy.ts'
import { goesBefore } from './waiting-queue.ts'

/** Share of a rectangle of prompts that may be padding. */
const MAX_WASTE = 0.3

/**
 * Steps of a runner whose KV lies in rows: prompts are read, or answers go on, in turns. A sequence is let in only when its
 * prompt is about to be read, so that it finds what the one before has read.
 */
export class RowSteps implements StepPolicy {
  readonly #capabilities: Capabilities
  readonly #options: SchedulerOptions
  readonly #kv: RowBooks
  readonly #roster: Roster
  readonly #pace: Pace
  readonly #judge = new DraftJudge()

  constructor(capabilities: Capabilities, options: SchedulerOptions, kv: RowBooks, roster: Roster) {
    this.#capabilities = capabilities
    this.#options = options
    this.#kv = kv
    this.#roster = roster
    this.#pace = new Pace(options.targetGapMs, capabilities.maxTokensPerStep)
  }

  plan(copies: KvCopy[]): Plan | undefined {
    this.#admit(copies)
    const decoding: Sequence[] = []
    let first: Sequence | undefined
    for (const sequence of this.#roster.running) {
      if (sequence.numReady === 0) continue
      if (sequence.numPending === 1) decoding.push(sequence)
      else if (first === undefined || goesBefore(sequence, first)) first = sequence
    }
    if (first !== undefined) {
      const { numReady } = first
      const { maxTokensPerStep } = this.#capabilities
      const chunk = decoding.length > 0 ? this.#pace.chunk(numReady) : Math.min(numReady, maxTokensPerStep)
      if (chunk > 0) return this.#prefill(first, chunk, decoding, copies)
    }
    const [lone] = decoding
    if (lone === undefined) return undefined
    const draft = decoding.length === 1 && first === undefined ? this.#draft(lone) : []
    return draft.length > 0 ? this.#verify(lone, draft, copies) : this.#decode(decoding, copies)
  }

  measured({ kind, step: { runs }, numPromptTokens }: Plan, ms: number, numAccepted: number): void {
    if (kind === 'verify') return this.#judge.verified(numAccepted, ms)
    if (kind === 'prefill') return this.#pace.prefilled(numPromptTokens, ms)
    this.#pace.decoded(ms)
    if (runs.length === 1) this.#judge.decoded(ms)
  }

  /** Starts the best of those who wait, until one has a prompt to read: the next may then find that prompt in the cache. */
  #admit(copies: KvCopy[]): void {
    const { waiting, running } = this.#roster
    for (let head = waiting.head; head !== undefined; head = waiting.head) {
      for (const sequence of running) if (sequence.numPending > 1 && goesBefore(sequence, head)) return
      if (this.#kv.numFree === 0 && !(head.scheduling.preempt && this.#roster.preemptFor(head))) return
      this.#start(head, copies)
    }
  }

  #start(sequence: Sequence, copies: KvCopy[]): void {
    if (!this.#roster.start(sequence, copies)) throw new Error('a row was counted as free and is not')
  }

  #prefill(first: Sequence, chunk: number, decoding: readonly Sequence[], copies: KvCopy[]): Plan {
    const group = [first]
    const { batchedPrefill, maxTokensPerStep } = this.#capabilities
    if (batchedPrefill && isFresh(first) && first.numPending === chunk)
      this.#gather(group, decoding.length > 0 ? this.#pace.quota : maxTokensPerStep, copies)
    if (group.length > 1) {
      copies.push(...this.#kv.arrange(decoding, 0))
      copies.push(...this.#kv.arrange(group, decoding.length))
    }
    const sequences = this.#byRow(group)
    const runs = sequences.map((sequence) => {
      const { numPending, promptLogprobs } = sequence
      const length = group.length > 1 ? numPending : chunk
      const wanted = promptLogprobs !== undefined ? 'all' : length === numPending ? 'last' : 'none'
      return this.#runOf(sequence, wanted, length)
    })
    const parts = sequences.map(plainPart)
    return { kind: 'prefill', copies, step: { runs }, parts, numPromptTokens: areaOf(runs) }
  }

  /** Short prompts of which nothing is cached are read together, as long as little of the rectangle is padding. */
  #gather(group: Sequence[], maxTokens: number, copies: KvCopy[]): void {
    const { waiting } = this.#roster
    let width = group[0]?.numPending ?? 0
    let sum = width
    for (let head = waiting.head; head !== undefined; head = waiting.head) {
      const { tokens } = head
      width = Math.max(width, tokens.length)
      sum += tokens.length
      const area = width * (group.length + 1)
      if (this.#kv.numFree === 0 || area > maxTokens || sum < (1 - MAX_WASTE) * area || tokens.length < 2)
        return
      if (head.promptLogprobs !== undefined || head.isResting || this.#kv.numFindable(head) > 0) return
      // What it has in common with one of the group is better copied, once it is there.
      if (group.some((other) => isKin(other, head))) return
      this.#start(head, copies)
      group.push(head)
    }
  }

  #decode(decoding: readonly Sequence[], copies: KvCopy[]): Plan {
    // One alone runs where it is.
    if (decoding.length > 1) copies.push(...this.#kv.arrange(decoding, 0))
    const sequences = this.#byRow(decoding)
    const runs = sequences.map((sequence) => this.#runOf(sequence, 'last', 1))
    const parts = sequences.map(plainPart)
    return { kind: 'decode', copies, step: { runs }, parts, numPromptTokens: 0 }
  }

  #draft(sequence: Sequence): readonly number[] {
    if (this.#options.speculation === 'off' || !this.#judge.isWorthwhile()) return []
    const { maxContext, maxTokensPerStep } = this.#capabilities
    return proposeNgram(sequence.tokens, Math.min(draftLimit(sequence, maxContext), maxTokensPerStep - 1))
  }

  #verify(sequence: Sequence, draft: readonly number[], copies: KvCopy[]): Plan {
    const runs = [this.#runOf(sequence, 'all', 1, draft)]
    const parts = [{ sequence, numDraft: draft.length }]
    return { kind: 'verify', copies, step: { runs }, parts, numPromptTokens: 0 }
  }

  #byRow(sequences: readonly Sequence[]): readonly Sequence[] {
    return sequences.toSorted((left, right) => this.#kv.indexOf(left) - this.#kv.indexOf(right))
  }

  #runOf(
    sequence: Sequence,
    wantLogits: Run['wantLogits'],
    length: number,
    draft: readonly number[] = [],
  ): Run {
    return runOf({ row: this.#kv.indexOf(sequence) }, sequence, wantLogits, length, draft)
  }
}

function plainPart(sequence: Sequence) {
  return { sequence, numDraft: 0 }
}

/** Tokens of a step, padding included. */
function areaOf(runs: readonly Run[]): number {
  return runs.length * Math.max(...runs.map(({ tokens }) => tokens.length))
}

/** Its whole prompt is to be read, and nobody wants logits inside. */
function isFresh({ numComputed, promptLogprobs }: Sequence): boolean {
  return numComputed === 0 && promptLogprobs === undefined
}

function isKin(left: Sequence, right: Sequence): boolean {
  if (left.choices === right.choices) return true
  return commonLength(left.tokens, right.tokens, BLOCK_TOKENS) >= BLOCK_TOKENS
}
