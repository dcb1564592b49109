import type { StepKind } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Prefix } from './kv-rows.ts'
import { KvRows, commonLength } from './kv-rows.ts'
import type { Capabilities, KvCopy, Run, Step } from './model-runner.ts'
import { Pace } from './pace.ts'
import { BLOCK_TOKENS } from './prefix-index.ts'
import { DraftJudge, proposeNgram } from './proposer.ts'
import { runningMean } from './running-mean.ts'
import type { Sequence } from './sequence.ts'
import { WaitingQueue, goesBefore } from './waiting-queue.ts'

/** Share of a rectangle of prompts that may be padding. */
const MAX_WASTE = 0.3
/** Retry hint before anything has ended. */
const UNKNOWN_WAIT_MS = 1000

/** What a step computes, and for whom. */
export interface Plan {
  readonly kind: StepKind
  /** To be carried out before the step, in order. */
  readonly copies: readonly KvCopy[]
  readonly step: Step
  /** One a run, in the same order. */
  readonly sequences: readonly Sequence[]
}

export interface SchedulerOptions {
  readonly maxWaiting: number
  readonly targetGapMs: number
  readonly speculation: 'auto' | 'off'
}

/**
 * Decides the next step: who gets a row, and whether prompts are read or answers go on. Never waits, does nothing but keep
 * books. Continuous batching (Orca, OSDI 2022): every step is decided anew, so requests join and leave between any two.
 */
export class Scheduler {
  readonly #capabilities: Capabilities
  readonly #options: SchedulerOptions
  readonly #kv: KvRows<Sequence>
  readonly #pace: Pace
  readonly #judge = new DraftJudge()
  readonly #waiting = new WaitingQueue()
  /** Those who own a row. */
  readonly #running = new Set<Sequence>()
  #numPreemptions = 0
  #lastReleaseMs: number | undefined
  #msPerRelease: number | undefined

  constructor(capabilities: Capabilities, options: SchedulerOptions) {
    this.#capabilities = capabilities
    this.#options = options
    this.#kv = new KvRows(capabilities.maxRows)
    this.#pace = new Pace(options.targetGapMs, capabilities.maxTokensPerStep)
  }

  get numRunning(): number {
    return this.#running.size
  }

  get numWaiting(): number {
    return this.#waiting.size
  }

  get numPreemptions(): number {
    return this.#numPreemptions
  }

  /** Share of all KV positions that running sequences use. */
  get kvUsage(): number {
    const { maxRows, maxContext } = this.#capabilities
    let used = 0
    for (const { numComputed } of this.#running) used += numComputed
    return used / (maxRows * maxContext)
  }

  /** Takes a request's sequences, all or none. Throws `queue_full`, with a retry hint. */
  add(sequences: readonly Sequence[]): void {
    const numOver = this.#waiting.size + sequences.length - this.#kv.numFree
    const isImmediate = sequences.some(({ scheduling }) => scheduling.admission === 'immediate')
    const limit = isImmediate ? 0 : this.#options.maxWaiting
    if (numOver > limit) {
      const retryAfterMs = Math.ceil(this.#msPerRelease ?? UNKNOWN_WAIT_MS)
      const problem = isImmediate
        ? 'The request must not wait, and no row is free.'
        : `${this.#waiting.size} answers are waiting, and ${limit} may.`
      const message = `${problem} Try again in about ${retryAfterMs} ms.`
      throw new EngineError('queue_full', message, { retryAfterMs })
    }
    for (const sequence of sequences) this.#waiting.add(sequence)
  }

  /** Says whether the sequence was there: what ends twice ends once. Its row is free at once, and remembers. */
  remove(sequence: Sequence, now: number): boolean {
    if (this.#waiting.remove(sequence)) return true
    if (!this.#running.delete(sequence)) return false
    if (this.#lastReleaseMs !== undefined)
      this.#msPerRelease = runningMean(this.#msPerRelease, now - this.#lastReleaseMs)
    this.#lastReleaseMs = now
    this.#releaseRow(sequence)
    return true
  }

  has(sequence: Sequence): boolean {
    return this.#running.has(sequence)
  }

  sequences(): readonly Sequence[] {
    return [...this.#running, ...this.#waiting]
  }

  /** Those whose time is over. */
  expired(now: number): readonly Sequence[] {
    return this.sequences().filter(
      ({ started, queueDeadlineMs, deadlineMs }) => now >= (started ? deadlineMs : queueDeadlineMs),
    )
  }

  /** The next forward pass, or `undefined` when there is nothing to do. */
  plan(): Plan | undefined {
    const copies: KvCopy[] = []
    this.#admit(copies)
    const decoding: Sequence[] = []
    let first: Sequence | undefined
    for (const sequence of this.#running) {
      if (sequence.numPending === 1) decoding.push(sequence)
      else if (first === undefined || goesBefore(sequence, first)) first = sequence
    }
    if (first !== undefined) {
      const { numPending } = first
      const { maxTokensPerStep } = this.#capabilities
      const chunk =
        decoding.length > 0 ? this.#pace.chunk(numPending) : Math.min(numPending, maxTokensPerStep)
      if (chunk > 0) return this.#prefill(first, chunk, decoding, copies)
    }
    const [lone] = decoding
    if (lone === undefined) return undefined
    const draft = decoding.length === 1 && first === undefined ? this.#draft(lone) : []
    return draft.length > 0 ? this.#verify(lone, draft, copies) : this.#decode(decoding, copies)
  }

  /** Books that the KV of these tokens, from `numComputed` on, is in the sequence's row. */
  computed(sequence: Sequence, tokens: readonly number[]): void {
    if (sequence.row === undefined) throw new Error('computed without a row')
    this.#kv.write(sequence.row, sequence.numComputed, tokens)
    sequence.numComputed += tokens.length
  }

  /** Drops the oldest tokens of a sequence whose context is full; what is left is read anew. */
  dropOldest(sequence: Sequence): void {
    sequence.dropOldest(Math.ceil(this.#capabilities.maxContext / 2))
    if (sequence.row !== undefined) this.#kv.truncate(sequence.row, sequence.numComputed)
  }

  /** What a step cost: chunk sizes and drafts follow. */
  measured({ kind, step: { runs } }: Plan, ms: number, numAccepted: number): void {
    if (kind === 'verify') return this.#judge.verified(numAccepted, ms)
    if (kind === 'prefill') return this.#pace.prefilled(areaOf(runs), ms)
    this.#pace.decoded(ms)
    if (runs.length === 1) this.#judge.decoded(ms)
  }

  resetPrefixCache(): void {
    this.#kv.reset()
  }

  /** Throws where the books are wrong. For tests. */
  check(): void {
    this.#kv.check()
    const owners = this.#kv.rows.flatMap(({ owner }) => (owner === undefined ? [] : [owner]))
    if (owners.length !== this.#running.size || owners.some((owner) => !this.#running.has(owner)))
      throw new Error('rows are owned by others than those who run')
    for (const { row, numComputed } of this.#running)
      if (row?.tokens.length !== numComputed)
        throw new Error('a row holds more or less than its owner thinks')
  }

  /** Starts the best of those who wait, until one has a prompt to read: the next may then find that prompt in the cache. */
  #admit(copies: KvCopy[]): void {
    for (let head = this.#waiting.head; head !== undefined; head = this.#waiting.head) {
      for (const sequence of this.#running) if (sequence.numPending > 1 && goesBefore(sequence, head)) return
      if (this.#kv.numFree === 0 && !(head.scheduling.preempt && this.#preemptFor(head))) return
      this.#start(head, copies)
    }
  }

  #start(sequence: Sequence, copies: KvCopy[]): void {
    const acquired = this.#kv.acquire(sequence, this.#prefixOf(sequence))
    if (acquired === undefined) throw new Error('a row was counted as free and is not')
    this.#waiting.remove(sequence)
    this.#running.add(sequence)
    sequence.row = acquired.row
    sequence.numComputed = acquired.numCached
    sequence.choices.cached(sequence.choice, acquired.numCached)
    copies.push(...acquired.copies)
  }

  #prefixOf({ tokens, scheduling, promptLogprobs, choices }: Sequence): Prefix<Sequence> {
    const { cacheSalt: salt, readPrefixCache } = scheduling
    const relatives = choices.sequences.flatMap(({ row }) => (row === undefined ? [] : [row]))
    // At least one token is computed: its logits are wanted.
    const limit = readPrefixCache && promptLogprobs === undefined ? tokens.length - 1 : 0
    return { tokens, limit, salt, relatives }
  }

  /** Sends the last of those with a lower priority back to wait. It is computed again: its row is not kept, only remembered. */
  #preemptFor({ priority }: Sequence): boolean {
    let victim: Sequence | undefined
    for (const sequence of this.#running) {
      if (sequence.priority > priority && (victim === undefined || goesBefore(victim, sequence)))
        victim = sequence
    }
    if (victim === undefined) return false
    this.#numPreemptions++
    this.#running.delete(victim)
    this.#releaseRow(victim)
    this.#waiting.add(victim)
    return true
  }

  #releaseRow(sequence: Sequence): void {
    if (sequence.row !== undefined) this.#kv.release(sequence.row)
    sequence.row = undefined
    sequence.numComputed = 0
  }

  #prefill(first: Sequence, chunk: number, decoding: readonly Sequence[], copies: KvCopy[]): Plan {
    const group = [first]
    if (this.#capabilities.batchedPrefill && isFresh(first) && first.numPending === chunk)
      this.#gather(
        group,
        decoding.length > 0 ? this.#pace.quota : this.#capabilities.maxTokensPerStep,
        copies,
      )
    if (group.length > 1) {
      copies.push(...this.#kv.arrange(decoding.flatMap(rowOf), 0))
      copies.push(...this.#kv.arrange(group.flatMap(rowOf), decoding.length))
    }
    const runs = group.sort(byRow).map((sequence) => {
      const { numPending, promptLogprobs } = sequence
      const length = group.length > 1 ? numPending : chunk
      const wanted = promptLogprobs !== undefined ? 'all' : length === numPending ? 'last' : 'none'
      return runOf(sequence, length, wanted)
    })
    return { kind: 'prefill', copies, step: { runs }, sequences: group }
  }

  /** Short prompts of which nothing is cached are read together, as long as little of the rectangle is padding. */
  #gather(group: Sequence[], maxTokens: number, copies: KvCopy[]): void {
    let width = group[0]?.numPending ?? 0
    let sum = width
    for (let head = this.#waiting.head; head !== undefined; head = this.#waiting.head) {
      const { tokens } = head
      width = Math.max(width, tokens.length)
      sum += tokens.length
      const area = width * (group.length + 1)
      if (this.#kv.numFree === 0 || area > maxTokens || sum < (1 - MAX_WASTE) * area || tokens.length < 2)
        return
      if (head.promptLogprobs !== undefined || this.#kv.numFindable(this.#prefixOf(head)) > 0) return
      // What it has in common with one of the group is better copied, once it is there.
      if (group.some((other) => isKin(other, head))) return
      this.#start(head, copies)
      group.push(head)
    }
  }

  #decode(decoding: Sequence[], copies: KvCopy[]): Plan {
    // One alone runs where it is.
    if (decoding.length > 1) copies.push(...this.#kv.arrange(decoding.flatMap(rowOf), 0))
    const sequences = decoding.sort(byRow)
    const runs = sequences.map((sequence) => runOf(sequence, 1, 'last'))
    return { kind: 'decode', copies, step: { runs }, sequences }
  }

  #draft({ tokens, numOutput, maxOutput }: Sequence): readonly number[] {
    if (this.#options.speculation === 'off' || !this.#judge.isWorthwhile()) return []
    const { maxContext, maxTokensPerStep } = this.#capabilities
    return proposeNgram(
      tokens,
      Math.min(maxOutput - numOutput, maxContext - tokens.length, maxTokensPerStep) - 1,
    )
  }

  #verify(sequence: Sequence, draft: readonly number[], copies: KvCopy[]): Plan {
    const run = runOf(sequence, 1, 'all')
    const tokens = Int32Array.of(...run.tokens, ...draft)
    return { kind: 'verify', copies, step: { runs: [{ ...run, tokens }] }, sequences: [sequence] }
  }
}

function runOf(sequence: Sequence, length: number, wantLogits: Run['wantLogits']): Run {
  const { row, numComputed: from, tokens } = sequence
  if (row === undefined) throw new Error('a run without a row')
  const run = Int32Array.from(tokens.slice(from, from + length))
  return { kv: { row: row.index }, from, tokens: run, wantLogits, top: 0 }
}

/** Tokens of a step, padding included. */
function areaOf(runs: readonly Run[]): number {
  return runs.length * Math.max(...runs.map(({ tokens }) => tokens.length))
}

function rowOf({ row }: Sequence) {
  return row === undefined ? [] : [row]
}

function byRow(left: Sequence, right: Sequence): number {
  return (left.row?.index ?? 0) - (right.row?.index ?? 0)
}

/** Its whole prompt is to be read, and nobody wants logits inside. */
function isFresh({ numComputed, promptLogprobs }: Sequence): boolean {
  return numComputed === 0 && promptLogprobs === undefined
}

function isKin(left: Sequence, right: Sequence): boolean {
  if (left.choices === right.choices) return true
  return commonLength(left.tokens, right.tokens, BLOCK_TOKENS) >= BLOCK_TOKENS
}
