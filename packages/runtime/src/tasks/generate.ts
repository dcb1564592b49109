import type {
  Cancel,
  Emit,
  Observer,
  Prompt,
  RunnerFacts,
  SchedulerOptions,
  Scheduling,
  Served,
  TextKv,
} from '@tabserve/engine'
import {
  Engine,
  checkString,
  promptLimit,
  refuseUnknownOptions,
  resolveSampling,
  resolveScheduling,
} from '@tabserve/engine'
import type { ChatMessage, GenerateRequest, ModelStats, Request, TokenizeRequest } from '@tabserve/protocol'
import { EngineError, toWireError, timeMs } from '@tabserve/protocol'
import { createBreath } from '../breath.ts'
import type { GrammarSpec } from '../grammar/grammar-spec.ts'
import { Grammars } from '../grammar/grammars.ts'
import type { Tokenizer } from '../tokenizer.ts'
import { readAnswers } from '../tools/read-answers.ts'
import { saidText } from '../tools/said-text.ts'
import { templateMessages, templateTools } from '../tools/template-messages.ts'
import type { ModelHabits } from '../tools/tool-plan.ts'
import { marksOf, planAnswer } from '../tools/tool-plan.ts'
import { checkTools } from '../tools/tool-request.ts'
import { checkMessages, checkTemplateOptions } from './check-messages.ts'
import type { LastingRunner } from './lasting-runner.ts'

/** A timer for longer fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** A decoder that continues prompts and answers conversations. */
export class GenerateModel implements Served {
  readonly #engine: Engine
  readonly #lasting: LastingRunner
  readonly #tokenizer: Tokenizer
  readonly #breath = createBreath()
  readonly #grammars: Grammars
  readonly #habits: ModelHabits
  /** Special tokens that are text where an answer is read for calls and thoughts. */
  readonly #marks: ReadonlyMap<number, string>

  constructor(
    lasting: LastingRunner,
    tokenizer: Tokenizer,
    eosTokenIds: readonly number[],
    grammarScript: string,
    options: SchedulerOptions & { readonly habits: ModelHabits },
    observer: Observer,
  ) {
    this.#lasting = lasting
    this.#tokenizer = tokenizer
    this.#habits = options.habits
    this.#marks = tokenizer.specialTokens(marksOf(options.habits.parser))
    this.#grammars = new Grammars(grammarScript, () =>
      tokenizer.vocabulary(lasting.runner.capabilities.vocabSize, this.#marks),
    )
    this.#engine = new Engine(
      {
        runner: lasting.runner,
        replaceRunner: (loss) => lasting.replace(loss),
        decode: (tokens) => tokenizer.decode(tokens),
        eosTokenIds,
        // What the engine tells of itself is to be compared with what the page saw.
        now: timeMs,
        breathe: () => this.#breath.take(),
        sleep: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, LONGEST_TIMER_MS))),
        randomSeed: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
        observer,
      },
      options,
    )
  }

  submit(request: Request, emit: Emit): Cancel {
    try {
      if (request.task !== 'generate')
        throw new EngineError('bad_request', 'This model generates text: ask it by `generate`.')
      refuseUnknownOptions(request)
      const id = checkString('requestId', request.requestId) ?? ''
      checkString('traceparent', request.traceparent)
      const sampling = resolveSampling(request, this.#lasting.runner.capabilities.vocabSize)
      const scheduling = resolveScheduling(request)
      const plan = planAnswer(request, this.#habits)
      const { tokens, text } = this.#promptOf(
        { ...request, tools: plan.tools?.told },
        scheduling.contextOverflow,
      )
      const constrain = this.#constraintOf(plan.grammar(text), request)
      const format = plan.format(text)
      const resume = this.#resumeOf(request, scheduling)
      const decode = format === undefined ? undefined : this.#decodeWithMarks
      const said = resume?.map((answer) => saidText(answer, decode, sampling.stop, tokens)) ?? []
      return this.#engine.submit(
        {
          id,
          tokens,
          sampling,
          scheduling,
          ...(constrain === undefined ? {} : { constrain }),
          ...(resume === undefined ? {} : { resume }),
          ...(decode === undefined ? {} : { decode }),
        },
        format === undefined ? emit : readAnswers(emit, format, said),
      )
    } catch (error) {
      emit({ type: 'error', error: toWireError(error, 'backend_failed') })
      return () => {}
    }
  }

  tokenize({ prompt, messages, tools, templateOptions }: TokenizeRequest): readonly number[] {
    const told = tools === undefined || tools.length === 0 ? undefined : checkTools(tools)
    return this.#promptOf({ prompt, messages, tools: told, templateOptions }, 'stop').tokens
  }

  tokenTexts(tokens: readonly number[]): readonly string[] {
    return this.#checkTokens('tokens', tokens).map((token) => this.#tokenizer.tokenText(token))
  }

  stats(): ModelStats {
    return this.#engine.stats()
  }

  facts(): RunnerFacts {
    return this.#lasting.facts
  }

  get isAwaitingDevice(): boolean {
    return this.#lasting.isAwaitingDevice
  }

  resetPrefixCache(): void {
    this.#engine.resetPrefixCache()
  }

  get kvLayout(): string {
    return this.#engine.kvLayout
  }

  /** What is missing is read as a prompt without an answer; nobody can take its KV between that and the copy. */
  async readSession(session: string, salt: string, tokens: readonly number[]): Promise<TextKv> {
    const isEnough = (kv: TextKv | undefined): kv is TextKv =>
      kv !== undefined && kv.tokens.length >= tokens.length - 1
    const kept = await this.#engine.readSession(session, this.#checkTokens('tokens', tokens))
    if (isEnough(kept)) return kept
    return new Promise<TextKv>((resolve, reject) => {
      const request = { maxTokens: 0, cacheSalt: salt, session }
      const prompt: Prompt = {
        tokens,
        sampling: resolveSampling(request, this.#lasting.runner.capabilities.vocabSize),
        scheduling: resolveScheduling(request),
      }
      this.#engine.submit(prompt, (event) => {
        if (event.type === 'error') return reject(EngineError.fromWire(event.error))
        this.#engine.readSession(session, tokens).then((read) => {
          if (isEnough(read)) resolve(read)
          else reject(new EngineError('backend_failed', 'The KV of the session was lost. Try again.'))
        }, reject)
      })
    })
  }

  writeSession(session: string, salt: string, kv: TextKv): Promise<void> {
    return this.#engine.writeSession(session, salt, kv)
  }

  shareSession(from: string, to: string): void {
    this.#engine.shareSession(from, to)
  }

  releaseSession(session: string): void {
    this.#engine.releaseSession(session)
  }

  async dispose(): Promise<void> {
    await this.#engine.dispose({
      code: 'engine_lost',
      message: 'The model was unloaded before the answer was complete.',
    })
    this.#grammars.dispose()
    this.#breath.dispose()
    await this.#lasting.runner.dispose()
  }

  readonly #decodeWithMarks = (tokens: readonly number[]) => this.#tokenizer.decode(tokens, this.#marks)

  #constraintOf(spec: GrammarSpec | undefined, { ignoreEos }: GenerateRequest): Prompt['constrain'] {
    if (spec === undefined) return undefined
    if (ignoreEos === true)
      throw new EngineError(
        'bad_request',
        'What an answer is held to (structuredOutputs, toolChoice, strict) ends it, which ignoreEos forbids.',
      )
    return (said) => this.#grammars.constrain(spec, said)
  }

  #promptOf(asked: AskedPrompt, contextOverflow: Scheduling['contextOverflow']): ReadPrompt {
    const { prompt, promptTokens, messages, maxTokens } = asked
    const given = [prompt, promptTokens, messages].filter((value) => value !== undefined)
    if (given.length !== 1) {
      throw new EngineError(
        'bad_request',
        `A request needs exactly one of prompt, promptTokens and messages; ${given.length} were given.`,
      )
    }
    if (promptTokens !== undefined)
      return { tokens: this.#checkTokens('promptTokens', promptTokens), text: '' }
    if (messages !== undefined) {
      const most =
        contextOverflow === 'truncate-start'
          ? promptLimit(this.#lasting.runner.capabilities.maxContext, maxTokens)
          : Infinity
      return this.#encodeChat(checkMessages(messages), asked, most)
    }
    if (typeof prompt !== 'string') throw new EngineError('bad_request', 'prompt must be a string.')
    if (prompt === '')
      throw new EngineError('bad_request', 'The prompt is empty: give it at least one character.')
    return { tokens: this.#encode(prompt), text: prompt }
  }

  /** Drops the oldest messages that are not the system's until the prompt has at most `most` tokens; the last one stays. */
  #encodeChat(
    messages: readonly ChatMessage[],
    { tools, templateOptions }: AskedPrompt,
    most: number,
  ): ReadPrompt {
    const options = checkTemplateOptions(templateOptions)
    const template = this.#tokenizer.toolTemplate ?? ''
    const told = tools === undefined ? {} : { tools: templateTools(tools) }
    for (let kept = messages; ;) {
      const text = this.#tokenizer.renderChat({
        messages: templateMessages(kept, template),
        options,
        ...told,
      })
      const tokens = this.#encode(text)
      const oldest = kept.findIndex(({ role }) => role !== 'system')
      // A call's results go with it.
      const next = kept.findIndex(({ role }, index) => index > oldest && role !== 'tool')
      if (tokens.length <= most || oldest < 0 || next < 0) return { tokens, text }
      kept = kept.toSpliced(oldest, next - oldest)
    }
  }

  /** A tokenizer of another model has ids that this one lacks: a kernel would read behind its weights. */
  #encode(text: string): readonly number[] {
    const { vocabSize } = this.#lasting.runner.capabilities
    const tokens = this.#tokenizer.encode(text)
    const wrong = tokens.find((token) => !(token >= 0 && token < vocabSize))
    if (wrong === undefined) return tokens
    const message = `The tokenizer gives the id ${wrong}, and the model has ${vocabSize}: they are not of one model.`
    throw new EngineError('bad_model', message)
  }

  #resumeOf({ resume }: GenerateRequest, { n }: Scheduling): readonly (readonly number[])[] | undefined {
    if (resume === undefined) return undefined
    if (!Array.isArray(resume) || resume.length !== n)
      throw new EngineError('bad_request', `resume must be a list with one entry for each of ${n} answers.`)
    return resume.map((answer: unknown) =>
      this.#checkTokens('resume', (answer as { tokens?: unknown } | null)?.tokens),
    )
  }

  #checkTokens(option: string, tokens: unknown): readonly number[] {
    const { vocabSize } = this.#lasting.runner.capabilities
    const isToken = (token: unknown) =>
      Number.isInteger(token) && (token as number) >= 0 && (token as number) < vocabSize
    if (Array.isArray(tokens) && tokens.every(isToken)) return tokens
    throw new EngineError(
      'bad_request',
      `${option} must be a list of whole numbers from 0 to ${vocabSize - 1}.`,
    )
  }
}

type AskedPrompt = {
  readonly [Key in 'prompt' | 'promptTokens' | 'messages' | 'maxTokens' | 'tools' | 'templateOptions']?:
    GenerateRequest[Key] | undefined
}

interface ReadPrompt {
  readonly tokens: readonly number[]
  /** As the template renders it; '' of ids. */
  readonly text: string
}
