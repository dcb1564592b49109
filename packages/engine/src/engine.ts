import type { ModelStats, WireError } from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import { Answers } from './answers.ts'
import type { TextKv } from './kv-jobs.ts'
import { KvJobs } from './kv-jobs.ts'
import type { KvCopy, ModelRunner, Run } from './model-runner.ts'
import type { Observer } from './observer.ts'
import { NO_OBSERVER } from './observer.ts'
import type { Prompt } from './open-choices.ts'
import { openChoices } from './open-choices.ts'
import type { Standing, StepRecord } from './reporter.ts'
import { Reporter } from './reporter.ts'
import { Scheduler } from './scheduler.ts'
import type { Sequence } from './sequence.ts'
import type { Cancel, Emit } from './served.ts'
import { Counters } from './stats.ts'
import type { Plan, SchedulerOptions } from './step-policy.ts'

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

/** Plans, runs, books, has `Answers` take what was computed, over and over, for as long as there is a sequence. */
export class Engine {
  readonly #ports: EnginePorts
  readonly #options: SchedulerOptions
  readonly #counters = new Counters()
  readonly #reporter: Reporter
  readonly #answers: Answers
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
    this.#answers = new Answers({
      scheduler: () => this.#scheduler,
      maxContext: () => this.#runner.capabilities.maxContext,
      counters: this.#counters,
      reporter: this.#reporter,
      now: ports.now,
      wake: () => this.#wake(),
    })
  }

  /**
   * Starts a generation. Throws `context_overflow` when the prompt does not fit, `bad_request` when it is empty, `queue_full`
   * when too many wait, `device_lost` when the runner is lost and nothing could take its place, and what it was disposed of with.
   */
  submit(prompt: Prompt, emit: Emit): Cancel {
    if (this.#lost !== undefined) throw this.#lost
    const { eosTokenIds, decode, randomSeed, now } = this.#ports
    const { maxContext } = this.#runner.capabilities
    const opening = {
      maxContext,
      eosTokenIds,
      decode,
      randomSeed,
      arrival: this.#numArrived,
      submittedMs: now(),
    }
    const tell: Emit = (event) => {
      if (event.type === 'finish') this.#counters.requests.observe(event, choices)
      emit(event)
    }
    const choices = openChoices(prompt, tell, opening)
    this.#numArrived += choices.sequences.length
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
      for (const sequence of choices.sequences) this.#answers.finish(sequence, 'abort')
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
    this.#answers.failAll(error)
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
        this.#answers.failAll(toWireError(error, 'backend_failed'))
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
    for (const sequence of this.#resumed.splice(0)) this.#answers.goOn(sequence, '')
    for (const sequence of this.#scheduler.expired(started)) this.#answers.expire(sequence)
    for (const sequence of this.#scheduler.sequences())
      if (sequence.constraint?.error !== undefined)
        this.#answers.fail(sequence, sequence.constraint.error.toWire())
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
      this.#book(plan)
      const numAccepted = this.#answers.take(plan, outputs)
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
      for (const { sequence } of parts) this.#answers.fail(sequence, wire)
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
      this.#answers.failAll(this.#lost.toWire())
      this.#jobs.failAll(this.#lost)
    }
    const ms = now() - started
    this.#counters.recoveryMs += ms
    this.#reporter.deviceLost(loss.message, ms, this.#lost === undefined)
  }

  /** Books what the model has read. */
  #book({ step, parts }: Plan): void {
    const before = this.#ports.now()
    parts.forEach(({ sequence, numDraft }, index) => {
      const { tokens } = step.runs[index] as Run
      this.#counters.computedTokens += tokens.length
      // A sequence that was cancelled while the step ran is not there any more.
      if (this.#scheduler.has(sequence))
        this.#scheduler.computed(sequence, [...tokens.subarray(0, tokens.length - numDraft)])
    })
    this.#planMs += this.#ports.now() - before
  }
}

function isLoss(error: unknown): error is EngineError {
  return error instanceof EngineError && error.code === 'device_lost'
}
