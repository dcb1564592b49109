import type { FinishReason, WireError } from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import { TokenHistory } from './logits-processors.ts'
import type { ModelRunner, Run } from './model-runner.ts'
import { Random } from './random.ts'
import { Sampler } from './sampler.ts'
import type { Sampling } from './sampling-params.ts'
import type { Plan } from './scheduler.ts'
import { Scheduler } from './scheduler.ts'
import { Sequence } from './sequence.ts'
import type { Cancel, Emit } from './served.ts'
import { TextStream } from './text-stream.ts'

/** What the engine needs of the world. */
export interface EnginePorts {
  readonly runner: ModelRunner
  readonly decode: (tokens: readonly number[]) => string
  readonly eosTokenIds: readonly number[]
  /** Milliseconds, monotonic. */
  readonly now: () => number
  /** Lets messages in between two steps; driven by a message, because timers sleep in hidden tabs. */
  readonly breathe: () => Promise<void>
  readonly randomSeed: () => number
}

export interface Prompt {
  readonly tokens: readonly number[]
  readonly sampling: Sampling
}

/** Plans, runs, samples, commits, emits, over and over, for as long as there is a sequence. */
export class Engine {
  readonly #ports: EnginePorts
  readonly #scheduler: Scheduler
  #loop: Promise<void> | undefined

  constructor(ports: EnginePorts) {
    this.#ports = ports
    this.#scheduler = new Scheduler(ports.runner.capabilities)
  }

  /** Starts a generation. Throws `context_overflow` when the prompt leaves no room for one token, `bad_request` when it is empty. */
  submit({ tokens, sampling }: Prompt, emit: Emit): Cancel {
    const { now, runner, decode, eosTokenIds, randomSeed } = this.#ports
    const { maxContext } = runner.capabilities
    if (tokens.length === 0)
      throw new EngineError('bad_request', 'The prompt is empty: give it at least one token.')
    if (tokens.length >= maxContext) {
      const message = `The prompt has ${tokens.length} tokens and the model's context ${maxContext}, one of which must be left to answer. Shorten the prompt, or load the model with a larger contextLength if it has one.`
      throw new EngineError('context_overflow', message)
    }
    const sequence = new Sequence({
      prompt: tokens,
      maxLength: Math.min(maxContext, tokens.length + (sampling.maxTokens ?? Infinity)),
      sampler: new Sampler(sampling, new Random(sampling.seed ?? randomSeed())),
      history: new TokenHistory(tokens),
      text: new TextStream(decode, sampling.stop, tokens),
      stopTokens: new Set([...(sampling.ignoreEos ? [] : eosTokenIds), ...sampling.stopTokenIds]),
      emit,
      submittedMs: now(),
    })
    this.#scheduler.add(sequence)
    this.#loop ??= this.#run()
    return () => this.#finish(sequence, 'abort')
  }

  /** Ends every sequence with `error` and waits for the step that is running. */
  async dispose(error: WireError): Promise<void> {
    for (const sequence of this.#scheduler.sequences()) this.#fail(sequence, error)
    await this.#loop
  }

  /** Cannot reject: `#step` turns every failure into the last word of the sequences in it. */
  async #run(): Promise<void> {
    // Lets the caller of `submit` go first, so that nothing is emitted before it has its `Cancel`.
    await this.#ports.breathe()
    for (let plan = this.#scheduler.plan(); plan !== undefined; plan = this.#scheduler.plan()) {
      await this.#step(plan)
      await this.#ports.breathe()
    }
    this.#loop = undefined
  }

  async #step({ step, sequences }: Plan): Promise<void> {
    for (const sequence of sequences) sequence.startedMs ??= this.#ports.now()
    try {
      const { logits } = await this.#ports.runner.run(step)
      sequences.forEach((sequence, index) => this.#commit(sequence, step.runs[index], logits[index]))
    } catch (error) {
      const wire = toWireError(error, 'backend_failed')
      for (const sequence of sequences) this.#fail(sequence, wire)
    }
  }

  /** Books what the model has read and, at the end of what was pending, takes the next token. */
  #commit(sequence: Sequence, run: Run | undefined, logits: Float32Array | undefined): void {
    if (run === undefined || logits === undefined) throw new Error('a step without its result')
    if (!this.#scheduler.has(sequence)) return // cancelled while the step ran
    sequence.numComputed = run.from + run.tokens.length
    if (run.wantLogits === 'none') return
    const { token, logprob } = sequence.sampler.sample(logits, sequence.history)
    sequence.firstTokenMs ??= this.#ports.now()
    sequence.tokens.push(token)
    if (sequence.stopTokens.has(token)) return this.#finish(sequence, 'stop', token)
    sequence.history.append(token)
    sequence.unsaidTokens.push(token)
    if (logprob !== undefined) sequence.unsaidLogprobs.push(logprob)
    const text = sequence.text.push(token)
    if (sequence.text.stopped !== undefined)
      return this.#finish(sequence, 'stop', sequence.text.stopped, text)
    if (sequence.tokens.length >= sequence.maxLength) return this.#finish(sequence, 'length', undefined, text)
    if (text !== '') this.#say(sequence, text)
  }

  #say(sequence: Sequence, text: string): void {
    const { unsaidTokens: tokens, unsaidLogprobs: logprobs } = sequence
    if (text === '' && tokens.length === 0) return
    // Emptied first: whoever hears the delta may cancel at once, and `#finish` comes here again.
    sequence.unsaidTokens = []
    sequence.unsaidLogprobs = []
    sequence.emit({ type: 'delta', text, tokens, ...(logprobs.length > 0 ? { logprobs } : {}) })
  }

  /** The one way in which a sequence ends well; the second time it does nothing. */
  #finish(sequence: Sequence, reason: FinishReason, stop?: string | number, text = ''): void {
    if (!this.#scheduler.remove(sequence)) return
    this.#say(sequence, text + sequence.text.flush())
    const usage = { promptTokens: sequence.promptLength, completionTokens: sequence.numOutput }
    const timing = sequence.timing(this.#ports.now())
    sequence.emit({ type: 'finish', reason, usage, timing, ...(stop === undefined ? {} : { stop }) })
  }

  #fail(sequence: Sequence, error: WireError): void {
    if (this.#scheduler.remove(sequence)) sequence.emit({ type: 'error', error })
  }
}
