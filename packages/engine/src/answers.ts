import type { FinishReason, WireError } from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import { LogitsRows } from './logits-rows.ts'
import { describe } from './logprobs.ts'
import type { Logits, Run } from './model-runner.ts'
import type { Reporter } from './reporter.ts'
import { UNUSABLE_LOGITS } from './sampler.ts'
import type { Scheduler } from './scheduler.ts'
import type { Sequence } from './sequence.ts'
import type { Counters } from './stats.ts'
import type { Part, Plan } from './step-policy.ts'

/** What answers need of their engine. */
export interface AnswersPorts {
  /** The present one: another takes its place with another runner. */
  readonly scheduler: () => Scheduler
  readonly maxContext: () => number
  readonly counters: Counters
  readonly reporter: Reporter
  readonly now: () => number
  /** A request has ended, or a grammar has gone. */
  readonly wake: () => void
}

/** What was computed as tokens, text and ends. Every sequence ends here, once. */
export class Answers {
  readonly #ports: AnswersPorts
  readonly #counters: Counters
  readonly #reporter: Reporter

  constructor(ports: AnswersPorts) {
    this.#ports = ports
    this.#counters = ports.counters
    this.#reporter = ports.reporter
  }

  /** Takes the next tokens of each sequence of a step. Returns how many tokens of drafts were right. */
  take({ step, parts }: Plan, outputs: readonly Logits[]): number {
    let numAccepted = 0
    parts.forEach((part, index) => {
      const rows = new LogitsRows(outputs[index], step.runs[index] as Run)
      numAccepted += this.#answer(part, step.runs[index] as Run, rows)
    })
    return numAccepted
  }

  /** What a run means for its sequence. Returns how many tokens of its draft were right. */
  #answer({ sequence, numDraft }: Part, run: Run, rows: LogitsRows): number {
    try {
      if (!this.#scheduler.has(sequence)) return 0
      const before = sequence.numOutput
      const { drawnMs } = sequence
      if (sequence.promptLogprobs !== undefined && numDraft === 0) this.#describePrompt(sequence, run, rows)
      let numAccepted = 0
      if (numDraft > 0)
        numAccepted = this.#verify(sequence, run.tokens.subarray(run.tokens.length - numDraft), rows)
      else if (sequence.numPending === 0 && sequence.maxOutput === 0) this.finish(sequence, 'length')
      else if (sequence.numPending === 0) this.#draw(sequence, rows, rows.count - 1)
      if (drawnMs !== undefined && sequence.drawnMs !== undefined)
        this.#counters.requests.observeTokens(sequence.numOutput - before, sequence.drawnMs - drawnMs)
      return numAccepted
    } catch (error) {
      if (error instanceof EngineError && error.cause === UNUSABLE_LOGITS) this.#counters.corrupted++
      this.fail(sequence, toWireError(error, 'backend_failed'))
    }
    return 0
  }

  /** Samples behind the due token, then behind every token of the draft that was what would have been sampled. */
  #verify(sequence: Sequence, draft: Int32Array, rows: LogitsRows): number {
    let numAccepted = 0
    for (;;) {
      const token = this.#draw(sequence, rows, numAccepted)
      if (token !== draft[numAccepted]) break
      numAccepted++
      if (!this.#scheduler.has(sequence)) break
      this.#scheduler.computed(sequence, [token])
    }
    this.#counters.drafted(draft.length, numAccepted)
    sequence.choices.drafted(draft.length, numAccepted)
    return numAccepted
  }

  /** Takes the next token of a sequence, and ends it if that was the last one. */
  #draw(sequence: Sequence, rows: LogitsRows, index: number): number {
    const { token, logprob } = sequence.sampler.sample(
      rows.values(index),
      sequence.history,
      rows.tokens(index),
    )
    const now = this.#ports.now()
    sequence.drawnMs = now
    if (sequence.choices.drew(now)) this.#reporter.firstToken(sequence.choices, now)
    sequence.append(token)
    this.#counters.generatedTokens++
    if (sequence.stopTokens.has(token)) {
      this.finish(sequence, 'stop', token)
      return token
    }
    sequence.constraint?.accept(token)
    sequence.history.append(token)
    sequence.unsaidTokens.push(token)
    if (logprob !== undefined) sequence.unsaidLogprobs.push(logprob)
    this.goOn(sequence, sequence.text.push(token))
    return token
  }

  /** Ends an answer that is at its end, else says `text`. */
  goOn(sequence: Sequence, text: string): void {
    const { stopped } = sequence.text
    if (stopped !== undefined) this.finish(sequence, 'stop', stopped, text)
    else if (sequence.numOutput >= sequence.maxOutput) this.finish(sequence, 'length', undefined, text)
    else if (sequence.tokens.length >= this.#maxContext) this.#overflow(sequence, text)
    else if (text !== '') this.#say(sequence, text)
  }

  /** The context is full, and the answer is not at its end. */
  #overflow(sequence: Sequence, text: string): void {
    const { contextOverflow } = sequence.scheduling
    if (contextOverflow === 'stop') return this.finish(sequence, 'length', undefined, text)
    if (text !== '') this.#say(sequence, text)
    if (contextOverflow === 'truncate-start') return this.#scheduler.dropOldest(sequence)
    const message = `The context of ${this.#maxContext} tokens is full and the answer is not at its end.`
    this.fail(sequence, { code: 'context_overflow', message })
  }

  #describePrompt(sequence: Sequence, run: Run, rows: LogitsRows): void {
    const { choices, tokens, promptLogprobs: count = 0 } = sequence
    if (sequence.choice !== 0) return
    for (let index = 0; index < run.tokens.length; index++) {
      const position = run.from + index + 1
      // A preempted sequence reads its prompt again, and its output with it.
      if (position !== choices.promptLogprobs.length + 1 || position >= choices.promptTokens) continue
      choices.promptLogprobs.push(describe(rows.values(index), tokens[position]!, count))
    }
  }

  #say(sequence: Sequence, text: string): void {
    const { unsaidTokens: tokens, unsaidLogprobs: logprobs } = sequence
    if (text === '' && tokens.length === 0) return
    // Emptied first: whoever hears the delta may cancel at once, and `#finish` comes here again.
    sequence.unsaidTokens = []
    sequence.unsaidLogprobs = []
    sequence.choices.say(sequence.choice, text, tokens, logprobs)
  }

  /** The one way in which a sequence ends well; the second time it does nothing. */
  finish(sequence: Sequence, reason: FinishReason, stop?: string | number, text = ''): void {
    const now = this.#ports.now()
    if (!this.#scheduler.remove(sequence, now)) return
    this.#letGo(sequence)
    this.#counters.finished[reason]++
    this.#say(sequence, text + sequence.text.flush())
    const end = { reason, ...(stop === undefined ? {} : { stop }) }
    sequence.choices.end(sequence.choice, end, sequence.numOutput, now)
    const { promptTokens, cachedTokens, over } = sequence.choices
    if (over) this.#countPrompt(promptTokens, cachedTokens)
  }

  expire(sequence: Sequence): void {
    if (sequence.started) return this.finish(sequence, 'timeout')
    const message = 'The deadline passed before the first step: too much else is running or waiting.'
    this.fail(sequence, { code: 'timeout', message })
  }

  /** Ends a request: the answers that go well with the one that does not. */
  fail({ choices }: Sequence, error: WireError): void {
    const now = this.#ports.now()
    for (const sequence of choices.sequences) if (this.#scheduler.remove(sequence, now)) this.#letGo(sequence)
    if (!choices.fail(error)) return
    this.#counters.failedWith(error.code, now - choices.submittedMs)
    this.#countPrompt(choices.promptTokens, choices.cachedTokens)
  }

  #letGo({ constraint }: Sequence): void {
    constraint?.dispose()
    this.#ports.wake()
  }

  failAll(error: WireError): void {
    for (const sequence of this.#scheduler.sequences()) this.fail(sequence, error)
  }

  #countPrompt(promptTokens: number, cachedTokens: number): void {
    this.#counters.promptTokens += promptTokens
    this.#counters.cachedTokens += cachedTokens
  }

  get #scheduler(): Scheduler {
    return this.#ports.scheduler()
  }

  get #maxContext(): number {
    return this.#ports.maxContext()
  }
}
