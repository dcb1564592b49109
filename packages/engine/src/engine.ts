import type { FinishReason, ModelStats, WireError } from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import { Choices } from './choices.ts'
import type { Constraint } from './constraint.ts'
import type { TextKv } from './kv-jobs.ts'
import { KvJobs } from './kv-jobs.ts'
import { TokenHistory } from './logits-processors.ts'
import { LogitsRows } from './logits-rows.ts'
import { describe } from './logprobs.ts'
import type { KvCopy, Logits, ModelRunner, Run } from './model-runner.ts'
import type { Observer } from './observer.ts'
import { NO_OBSERVER } from './observer.ts'
import { Random } from './random.ts'
import type { Standing, StepRecord } from './reporter.ts'
import { Reporter } from './reporter.ts'
import { resume } from './resume.ts'
import { Sampler, UNUSABLE_LOGITS } from './sampler.ts'
import type { Sampling } from './sampling-params.ts'
import { Scheduler } from './scheduler.ts'
import type { Scheduling } from './scheduling-params.ts'
import { Sequence } from './sequence.ts'
import type { Cancel, Emit } from './served.ts'
import { Counters } from './stats.ts'
import type { Part, Plan, SchedulerOptions } from './step-policy.ts'
import { TextStream } from './text-stream.ts'

/** What the engine needs of the world. */
export interface EnginePorts {
  readonly runner: ModelRunner
  /** Another runner of the same model, in place of one that failed with `device_lost`. Rejects with the error that every request then ends with. */
  readonly replaceRunner: (loss: EngineError) => Promise<ModelRunner>
  readonly decode: (tokens: readonly number[]) => string
  readonly eosTokenIds: readonly number[]
  /** Milliseconds, monotonic. */
  readonly now: () => number
  /** Lets messages in between two steps; driven by a message, because timers sleep in hidden tabs. */
  readonly breathe: () => Promise<void>
  /** Resolves after so many milliseconds. Needed only while every answer waits for its grammar, for the sake of deadlines. */
  readonly sleep: (ms: number) => Promise<void>
  readonly randomSeed: () => number
  /** Default: nobody listens. */
  readonly observer?: Observer
}

export interface Prompt {
  /** What telemetry calls the request. Default: nothing. */
  readonly id?: string
  readonly tokens: readonly number[]
  readonly sampling: Sampling
  readonly scheduling: Scheduling
  /** Makes what one of its answers is held to. @param said what that answer has said already, and it has accepted. */
  readonly constrain?: (said: readonly number[]) => Constraint
  /** Token ids to text, where that is not the usual way. */
  readonly decode?: (tokens: readonly number[]) => string
  /** What each answer has said in an engine that is gone, in order; they go on behind it. */
  readonly resume?: readonly (readonly number[])[]
}

/** Plans, runs, samples, commits, emits, over and over, for as long as there is a sequence. */
export class Engine {
  readonly #ports: EnginePorts
  readonly #options: SchedulerOptions
  readonly #counters = new Counters()
  readonly #reporter: Reporter
  #runner: ModelRunner
  #scheduler: Scheduler
  /** Why no request can be answered any more. */
  #lost: EngineError | undefined
  /** Sequences that were resumed since the last plan, some of them at their end. */
  #resumed: Sequence[] = []
  readonly #jobs = new KvJobs()
  #numArrived = 0
  /** What deciding and booking the step that is running took. */
  #planMs = 0
  #loop: Promise<void> | undefined
  #wake = () => {}

  constructor(ports: EnginePorts, options: SchedulerOptions) {
    this.#ports = ports
    this.#options = options
    this.#runner = ports.runner
    this.#reporter = new Reporter(ports.observer ?? NO_OBSERVER, ports.now)
    this.#scheduler = this.#newScheduler()
  }

  /**
   * Starts a generation. Throws `context_overflow` when the prompt does not fit, `bad_request` when it is empty, `queue_full`
   * when too many wait, `device_lost` when the runner is lost and nothing could take its place, and what it was disposed of with.
   */
  submit(prompt: Prompt, emit: Emit): Cancel {
    if (this.#lost !== undefined) throw this.#lost
    const choices = this.#choicesOf(prompt, (event) => {
      if (event.type === 'finish') this.#counters.requests.observe(event, choices)
      emit(event)
    })
    try {
      this.#scheduler.add(choices.sequences)
    } catch (error) {
      this.#counters.refused++
      for (const { constraint } of choices.sequences) constraint?.dispose()
      throw error
    }
    this.#counters.lastRequestMs = choices.submittedMs
    this.#reporter.queued(choices, prompt.scheduling.priority)
    for (const { constraint } of choices.sequences) constraint?.onChange(() => this.#wake())
    if (prompt.resume !== undefined) this.#resumed.push(...choices.sequences)
    this.#loop ??= this.#run()
    this.#wake()
    return () => {
      for (const sequence of choices.sequences) this.#finish(sequence, 'abort')
    }
  }

  stats(): ModelStats {
    const { capabilities, kvBytes } = this.#runner
    return this.#counters.snapshot({
      ...this.#standing(),
      rows: capabilities.maxRows,
      kvBytes,
      preemptions: this.#counters.preempted + this.#scheduler.numPreemptions,
    })
  }

  #standing(): Standing {
    const { numRunning: running, numWaiting: waiting, kv } = this.#scheduler
    const { usage: kvUsage, blocks } = kv
    return { running, waiting, kvUsage, ...(blocks === undefined ? {} : { blocks }) }
  }

  /** Forgets the KV that ended requests left behind. */
  resetPrefixCache(): void {
    this.#scheduler.resetPrefixCache()
  }

  /** How KV that `readSession` gives is laid out. It changes when the runner does. */
  get kvLayout(): string {
    return this.#runner.kvLayout
  }

  /** A copy of the KV that a session keeps of the beginning of `tokens`; `undefined` where that is nothing. Rejects as `submit` throws. */
  readSession(session: string, tokens: readonly number[]): Promise<TextKv | undefined> {
    return this.#between(this.#jobs.read(session, tokens))
  }

  /**
   * Has a session keep KV that was read elsewhere, of the layout that is `kvLayout` now: whoever asks with these tokens finds it cached. Waits for a
   * place where all are in use. Rejects where the runner does not take the bytes, and as `submit` throws.
   */
  writeSession(session: string, salt: string, kv: TextKv): Promise<void> {
    return this.#between(this.#jobs.write(session, salt, kv))
  }

  /** One session keeps the KV that another does, too. */
  shareSession(from: string, to: string): void {
    this.#scheduler.kv.share(from, to)
  }

  /** What a session kept is cached as any other KV from now on. */
  releaseSession(session: string): void {
    this.#scheduler.kv.letGo(session)
  }

  /** Throws where the books are wrong. For tests. */
  check(): void {
    this.#scheduler.check()
  }

  /** Ends every sequence with `error`, as all that is asked from now on, and waits for the step that is running. */
  async dispose(error: WireError): Promise<void> {
    this.#lost = EngineError.fromWire(error)
    this.#failAll(error)
    this.#jobs.failAll(this.#lost)
    await this.#loop
  }

  /** Cannot reject: `#step` turns every failure into the last word of the sequences in it. */
  async #run(): Promise<void> {
    // Lets the caller of `submit` go first, so that nothing is emitted before it has its `Cancel`.
    await this.#ports.breathe()
    for (;;) {
      await this.#workOnKv()
      const plan = this.#plan()
      if (plan !== undefined) await this.#step(plan)
      else if (this.#scheduler.sequences().some(({ isResting }) => isResting)) await this.#rest()
      else if (this.#jobs.size === 0) break
      await this.#ports.breathe()
    }
    this.#loop = undefined
  }

  /** Sees to it that a job is done before the next step. */
  #between<T>(job: Promise<T>): Promise<T> {
    if (this.#lost !== undefined) this.#jobs.failAll(this.#lost)
    else this.#loop ??= this.#run()
    this.#wake()
    return job
  }

  async #workOnKv(): Promise<void> {
    if (this.#jobs.size === 0 || !(await this.#carryOut(this.#scheduler.takeCopies()))) return
    try {
      await this.#jobs.run(this.#runner, this.#scheduler.kv, isLoss)
    } catch (error) {
      if (!isLoss(error)) throw error
      await this.#recover(error)
    }
  }

  /** Says whether KV is then where the books say. */
  async #carryOut(copies: readonly KvCopy[]): Promise<boolean> {
    try {
      if (copies.length > 0) this.#runner.copyKv(copies)
      return true
    } catch (error) {
      if (isLoss(error)) await this.#recover(error)
      else {
        this.#failAll(toWireError(error, 'backend_failed'))
        this.#scheduler.resetPrefixCache()
      }
      return false
    }
  }

  /** Everybody waits for a grammar: until one has answered, a request comes or goes, or a deadline passes. */
  async #rest(): Promise<void> {
    const { now, sleep } = this.#ports
    const changed = new Promise<void>((resolve) => (this.#wake = resolve))
    const deadline = this.#scheduler.nextDeadline()
    await (deadline === Infinity ? changed : Promise.race([changed, sleep(deadline - now())]))
  }

  #plan(): Plan | undefined {
    const started = this.#ports.now()
    for (const sequence of this.#resumed.splice(0)) this.#goOn(sequence, '')
    for (const sequence of this.#scheduler.expired(started)) this.#expire(sequence)
    for (const sequence of this.#scheduler.sequences())
      if (sequence.constraint?.error !== undefined) this.#fail(sequence, sequence.constraint.error.toWire())
    const plan = this.#scheduler.plan()
    this.#planMs = this.#ports.now() - started
    return plan
  }

  async #step(plan: Plan): Promise<void> {
    const { now } = this.#ports
    const runner = this.#runner
    const { copies, step, parts } = plan
    const started = now()
    for (const { sequence } of parts) {
      sequence.started = true
      if (sequence.choices.started(started)) this.#reporter.scheduled(sequence.choices, started)
    }
    if (!(await this.#carryOut(copies))) return
    try {
      const copied = now()
      const { outputs } = await runner.run(step)
      const ran = now()
      const generated = this.#counters.generatedTokens
      const plannedMs = this.#planMs
      const numAccepted = this.#commit(plan, outputs)
      this.#record(
        plan,
        {
          copyMs: copied - started,
          runMs: ran - copied,
          sampleMs: now() - ran - (this.#planMs - plannedMs),
        },
        {
          generatedTokens: this.#counters.generatedTokens - generated,
          acceptedTokens: numAccepted,
        },
      )
      this.#scheduler.measured(plan, ran - started, numAccepted)
    } catch (error) {
      if (isLoss(error)) return this.#recover(error)
      const wire = toWireError(error, 'backend_failed')
      for (const { sequence } of parts) this.#fail(sequence, wire)
    }
  }

  #record(
    { kind, parts, step, numPromptTokens }: Plan,
    times: Pick<StepRecord, 'copyMs' | 'runMs' | 'sampleMs'>,
    drawn: Pick<StepRecord, 'generatedTokens' | 'acceptedTokens'>,
  ): void {
    const tokens = step.runs.reduce((sum, { tokens }) => sum + tokens.length, 0)
    const record: StepRecord = {
      kind,
      planMs: this.#planMs,
      ...times,
      rows: parts.length,
      tokens,
      // Without the padding of short prompts.
      promptTokens: kind === 'prefill' ? tokens : numPromptTokens,
      ...drawn,
      draftTokens: parts.reduce((sum, { numDraft }) => sum + numDraft, 0),
    }
    this.#counters.stepped(record)
    this.#reporter.stepped(record, () => this.#standing())
  }

  #newScheduler(): Scheduler {
    const scheduler = new Scheduler(this.#runner.capabilities, this.#options)
    scheduler.onPreempted(({ choices, choice }) => this.#reporter.preempted(choices, choice))
    return scheduler
  }

  /** Goes on with another runner: everybody waits again, at the old rank, and what was said so far is read as if it were a prompt. */
  async #recover(loss: EngineError): Promise<void> {
    const { now, replaceRunner } = this.#ports
    const started = now()
    this.#counters.losses++
    try {
      this.#runner = await replaceRunner(loss)
      this.#counters.preempted += this.#scheduler.numPreemptions + this.#scheduler.numRunning
      const sequences = this.#scheduler.sequences()
      this.#scheduler = this.#newScheduler()
      this.#scheduler.restore(sequences)
    } catch (error) {
      this.#lost = EngineError.fromWire(toWireError(error, 'device_lost'))
      this.#failAll(this.#lost.toWire())
      this.#jobs.failAll(this.#lost)
    }
    const ms = now() - started
    this.#counters.recoveryMs += ms
    this.#reporter.deviceLost(loss.message, ms, this.#lost === undefined)
  }

  /** Books what the model has read, then takes the next token of each. Returns how many tokens of drafts were right. */
  #commit({ step, parts }: Plan, outputs: readonly Logits[]): number {
    const before = this.#ports.now()
    parts.forEach(({ sequence, numDraft }, index) => {
      const { tokens } = step.runs[index] as Run
      this.#counters.computedTokens += tokens.length
      // A sequence that was cancelled while the step ran is not there any more.
      if (this.#scheduler.has(sequence))
        this.#scheduler.computed(sequence, [...tokens.subarray(0, tokens.length - numDraft)])
    })
    this.#planMs += this.#ports.now() - before
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
      else if (sequence.numPending === 0 && sequence.maxOutput === 0) this.#finish(sequence, 'length')
      else if (sequence.numPending === 0) this.#draw(sequence, rows, rows.count - 1)
      if (drawnMs !== undefined && sequence.drawnMs !== undefined)
        this.#counters.requests.observeTokens(sequence.numOutput - before, sequence.drawnMs - drawnMs)
      return numAccepted
    } catch (error) {
      if (error instanceof EngineError && error.cause === UNUSABLE_LOGITS) this.#counters.corrupted++
      this.#fail(sequence, toWireError(error, 'backend_failed'))
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
      this.#finish(sequence, 'stop', token)
      return token
    }
    sequence.constraint?.accept(token)
    sequence.history.append(token)
    sequence.unsaidTokens.push(token)
    if (logprob !== undefined) sequence.unsaidLogprobs.push(logprob)
    this.#goOn(sequence, sequence.text.push(token))
    return token
  }

  /** Ends an answer that is at its end, else says `text`. */
  #goOn(sequence: Sequence, text: string): void {
    const { stopped } = sequence.text
    if (stopped !== undefined) this.#finish(sequence, 'stop', stopped, text)
    else if (sequence.numOutput >= sequence.maxOutput) this.#finish(sequence, 'length', undefined, text)
    else if (sequence.tokens.length >= this.#maxContext) this.#overflow(sequence, text)
    else if (text !== '') this.#say(sequence, text)
  }

  /** The context is full, and the answer is not at its end. */
  #overflow(sequence: Sequence, text: string): void {
    const { contextOverflow } = sequence.scheduling
    if (contextOverflow === 'stop') return this.#finish(sequence, 'length', undefined, text)
    if (text !== '') this.#say(sequence, text)
    if (contextOverflow === 'truncate-start') return this.#scheduler.dropOldest(sequence)
    const message = `The context of ${this.#maxContext} tokens is full and the answer is not at its end.`
    this.#fail(sequence, { code: 'context_overflow', message })
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
  #finish(sequence: Sequence, reason: FinishReason, stop?: string | number, text = ''): void {
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

  #expire(sequence: Sequence): void {
    if (sequence.started) return this.#finish(sequence, 'timeout')
    const message = 'The deadline passed before the first step: too much else is running or waiting.'
    this.#fail(sequence, { code: 'timeout', message })
  }

  /** Ends a request: the answers that go well with the one that does not. */
  #fail({ choices }: Sequence, error: WireError): void {
    const now = this.#ports.now()
    for (const sequence of choices.sequences) if (this.#scheduler.remove(sequence, now)) this.#letGo(sequence)
    if (!choices.fail(error)) return
    this.#counters.failedWith(error.code, now - choices.submittedMs)
    this.#countPrompt(choices.promptTokens, choices.cachedTokens)
  }

  #letGo({ constraint }: Sequence): void {
    constraint?.dispose()
    this.#wake()
  }

  #failAll(error: WireError): void {
    for (const sequence of this.#scheduler.sequences()) this.#fail(sequence, error)
  }

  #countPrompt(promptTokens: number, cachedTokens: number): void {
    this.#counters.promptTokens += promptTokens
    this.#counters.cachedTokens += cachedTokens
  }

  #choicesOf(asked: Prompt, emit: Emit): Choices {
    const { id = '', tokens, sampling, scheduling, constrain, resume: said = [] } = asked
    const { now, eosTokenIds, randomSeed } = this.#ports
    const { decode = this.#ports.decode } = asked
    const prompt = this.#fit(tokens, sampling.maxTokens, scheduling.contextOverflow)
    const submittedMs = now()
    const choices = new Choices(emit, id, scheduling.n, prompt.length, submittedMs)
    const seed = sampling.seed ?? randomSeed()
    const stopTokens = new Set([...(sampling.ignoreEos ? [] : eosTokenIds), ...sampling.stopTokenIds])
    for (let choice = 0; choice < scheduling.n; choice++) {
      const spoken = said[choice] ?? []
      const constraint = constrain?.(spoken)
      const sequence = new Sequence({
        prompt,
        maxOutput: sampling.maxTokens ?? Infinity,
        sampler: new Sampler(sampling, new Random(seed + choice), stopTokens, constraint),
        constraint,
        history: new TokenHistory(prompt),
        text: new TextStream(decode, sampling.stop, prompt),
        stopTokens,
        scheduling,
        promptLogprobs: sampling.promptLogprobs,
        choices,
        choice,
        arrival: this.#numArrived++,
        submittedMs,
      })
      resume(sequence, spoken, this.#maxContext)
      choices.sequences.push(sequence)
    }
    return choices
  }

  #fit(
    tokens: readonly number[],
    maxTokens: number | undefined,
    overflow: Scheduling['contextOverflow'],
  ): readonly number[] {
    if (tokens.length === 0)
      throw new EngineError('bad_request', 'The prompt is empty: give it at least one token.')
    const maxContext = this.#maxContext
    if (overflow === 'truncate-start') {
      const most = promptLimit(maxContext, maxTokens)
      return tokens.length <= most ? tokens : [tokens[0]!, ...tokens.slice(1 - most)]
    }
    const room = overflow === 'error' ? (maxTokens ?? 1) : 1
    if (tokens.length + room <= maxContext) return tokens
    const problem = `The prompt has ${tokens.length} tokens and the model's context ${maxContext}, ${room} of which must be left to answer.`
    const advice =
      'Shorten the prompt, load the model with a larger contextLength if it has one, or set contextOverflow.'
    throw new EngineError('context_overflow', `${problem} ${advice}`)
  }

  get #maxContext(): number {
    return this.#runner.capabilities.maxContext
  }
}

function isLoss(error: unknown): error is EngineError {
  return error instanceof EngineError && error.code === 'device_lost'
}

/** Longest prompt that `truncate-start` leaves: the answer gets the room it asks for, but at most a quarter of the context. */
export function promptLimit(maxContext: number, maxTokens = Infinity): number {
  return maxContext - Math.min(maxTokens, Math.ceil(maxContext / 4))
}
