import type {
  Cancel,
  Emit,
  Prompt,
  RunnerFacts,
  SchedulerOptions,
  Scheduling,
  Served,
} from '@tabserve/engine'
import {
  Engine,
  promptLimit,
  refuseUnknownOptions,
  resolveSampling,
  resolveScheduling,
} from '@tabserve/engine'
import type { ChatMessage, GenerateRequest, ModelStats, Request, TokenizeRequest } from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import { createBreath } from '../breath.ts'
import { Grammars } from '../grammar/grammars.ts'
import { resolveGrammar } from '../grammar/grammar-spec.ts'
import type { Tokenizer } from '../tokenizer.ts'
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

  constructor(
    lasting: LastingRunner,
    tokenizer: Tokenizer,
    eosTokenIds: readonly number[],
    grammarScript: string,
    options: SchedulerOptions,
  ) {
    this.#lasting = lasting
    this.#tokenizer = tokenizer
    this.#grammars = new Grammars(grammarScript, () =>
      tokenizer.vocabulary(lasting.runner.capabilities.vocabSize),
    )
    this.#engine = new Engine(
      {
        runner: lasting.runner,
        replaceRunner: (loss) => lasting.replace(loss),
        decode: (tokens) => tokenizer.decode(tokens),
        eosTokenIds,
        now: () => performance.now(),
        breathe: () => this.#breath.take(),
        sleep: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, LONGEST_TIMER_MS))),
        randomSeed: () => crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
      },
      options,
    )
  }

  submit(request: Request, emit: Emit): Cancel {
    try {
      if (request.task !== 'generate')
        throw new EngineError('bad_request', 'This model generates text: ask it by `generate`.')
      refuseUnknownOptions(request)
      const sampling = resolveSampling(request, this.#lasting.runner.capabilities.vocabSize)
      const scheduling = resolveScheduling(request)
      const constrain = this.#constraintOf(request)
      const tokens = this.#promptOf(request, scheduling.contextOverflow)
      const resume = this.#resumeOf(request, scheduling)
      return this.#engine.submit(
        {
          tokens,
          sampling,
          scheduling,
          ...(constrain === undefined ? {} : { constrain }),
          ...(resume === undefined ? {} : { resume }),
        },
        emit,
      )
    } catch (error) {
      emit({ type: 'error', error: toWireError(error, 'backend_failed') })
      return () => {}
    }
  }

  tokenize({ prompt, messages }: TokenizeRequest): readonly number[] {
    return this.#promptOf(
      { ...(prompt === undefined ? {} : { prompt }), ...(messages === undefined ? {} : { messages }) },
      'stop',
    )
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

  get isRecovering(): boolean {
    return this.#lasting.isReplacing
  }

  resetPrefixCache(): void {
    this.#engine.resetPrefixCache()
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

  #constraintOf({ structuredOutputs, ignoreEos }: GenerateRequest): Prompt['constrain'] {
    if (structuredOutputs === undefined) return undefined
    if (ignoreEos === true)
      throw new EngineError('bad_request', 'structuredOutputs ends the answer, which ignoreEos forbids.')
    const spec = resolveGrammar(structuredOutputs)
    return (said) => this.#grammars.constrain(spec, said)
  }

  #promptOf(
    {
      prompt,
      promptTokens,
      messages,
      maxTokens,
    }: Pick<GenerateRequest, 'prompt' | 'promptTokens' | 'messages' | 'maxTokens'>,
    contextOverflow: Scheduling['contextOverflow'],
  ): readonly number[] {
    const given = [prompt, promptTokens, messages].filter((value) => value !== undefined)
    if (given.length !== 1) {
      throw new EngineError(
        'bad_request',
        `A request needs exactly one of prompt, promptTokens and messages; ${given.length} were given.`,
      )
    }
    if (promptTokens !== undefined) return this.#checkTokens('promptTokens', promptTokens)
    if (messages !== undefined) {
      const most =
        contextOverflow === 'truncate-start'
          ? promptLimit(this.#lasting.runner.capabilities.maxContext, maxTokens)
          : Infinity
      return this.#encodeChat(checkMessages(messages), most)
    }
    if (typeof prompt !== 'string') throw new EngineError('bad_request', 'prompt must be a string.')
    if (prompt === '')
      throw new EngineError('bad_request', 'The prompt is empty: give it at least one character.')
    return this.#tokenizer.encode(prompt)
  }

  /** Drops the oldest messages that are not the system's until the prompt has at most `most` tokens; the last one stays. */
  #encodeChat(messages: readonly ChatMessage[], most: number): readonly number[] {
    for (let kept = messages; ;) {
      const tokens = this.#tokenizer.encode(this.#tokenizer.renderChat(kept))
      const oldest = kept.findIndex(({ role }) => role !== 'system')
      if (tokens.length <= most || oldest < 0 || oldest === kept.length - 1) return tokens
      kept = kept.toSpliced(oldest, 1)
    }
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

function checkMessages(messages: GenerateRequest['messages'] & {}): GenerateRequest['messages'] & {} {
  if (!Array.isArray(messages) || messages.length === 0) {
    throw new EngineError('bad_request', 'messages must be a list with at least one message.')
  }
  for (const [index, message] of messages.entries()) {
    const { role, content } = (message ?? {}) as { role?: unknown; content?: unknown }
    if (!['system', 'user', 'assistant'].includes(role as string) || typeof content !== 'string') {
      throw new EngineError(
        'bad_request',
        `messages[${index}] needs a role (system, user or assistant) and a string as content.`,
      )
    }
  }
  return messages
}
