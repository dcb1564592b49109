import type { ChatMessage, StructuredOutputs } from '@tabserve/protocol'
import type { Generation } from '../../generation.ts'
import { wholeAnswer } from '../answer-stream.ts'
import type { ServedClient } from '../served-client.ts'
import { inTheirWords } from './exceptions.ts'
import type { PromptInput } from './prompts.ts'
import { messagesOf } from './prompts.ts'
import { Turns } from './turns.ts'

export type SessionClient = Pick<ServedClient, 'generate' | 'tokenize'>

interface Structure {
  readonly structuredOutputs?: StructuredOutputs
}

export interface PromptOptions {
  readonly signal?: AbortSignal
  /** A JSON schema, or a `RegExp` that the whole answer matches. */
  readonly responseConstraint?: unknown
}

export interface SessionState {
  readonly model: string
  /** Tokens that fit. */
  readonly contextWindow: number
  readonly sampling: { readonly temperature?: number; readonly topK?: number }
  readonly messages: readonly ChatMessage[]
}

/** A conversation with a model, as the Prompt API has it. Prompts are answered one after the other. Throws the specification's exceptions. */
export class LanguageModelSession {
  readonly contextWindow: number
  /** Called when the oldest messages were dropped to make room; the system's stay. */
  oncontextoverflow: ((event: Event) => void) | null = null
  readonly #client: SessionClient
  readonly #model: string
  readonly #sampling: SessionState['sampling']
  readonly #events = new EventTarget()
  readonly #turns = new Turns()
  readonly #destroyed = new AbortController()
  #messages: readonly ChatMessage[]
  #usage = 0

  static async start(
    client: SessionClient,
    state: SessionState,
    signal: AbortSignal | undefined,
  ): Promise<LanguageModelSession> {
    const session = new LanguageModelSession(client, state)
    signal?.addEventListener('abort', () => session.destroy(), { signal: session.#destroyed.signal })
    await session.#keep(await session.#fit(state.messages, 0))
    return session
  }

  private constructor(client: SessionClient, { model, contextWindow, sampling, messages }: SessionState) {
    this.#client = client
    this.#model = model
    this.contextWindow = contextWindow
    this.#sampling = sampling
    this.#messages = messages
  }

  /** Tokens of the conversation so far. */
  get contextUsage(): number {
    return this.#usage
  }

  get topK(): number | undefined {
    return this.#sampling.topK
  }

  get temperature(): number | undefined {
    return this.#sampling.temperature
  }

  /** The whole answer. */
  async prompt(input: PromptInput, options: PromptOptions = {}): Promise<string> {
    let text = ''
    for await (const piece of this.#ask(input, options)) text += piece
    return text
  }

  /** The answer in pieces. Cancelling stops the computing, and the conversation goes on as if it had not been asked. */
  promptStreaming(input: PromptInput, options: PromptOptions = {}): ReadableStream<string> {
    const left = new AbortController()
    const { signal } = options
    const both = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal])
    const pieces = this.#ask(input, { ...options, signal: both })
    const pump = async (controller: ReadableStreamDefaultController<string>) => {
      try {
        for await (const piece of pieces) if (!left.signal.aborted) controller.enqueue(piece)
        if (!left.signal.aborted) controller.close()
      } catch (error) {
        if (!left.signal.aborted) controller.error(error)
      }
    }
    return new ReadableStream({
      // Not by `pull`: a stream that nobody reads to its end would keep the next prompt waiting.
      start: (controller) => void pump(controller),
      cancel: () => left.abort(),
    })
  }

  /** Adds messages without an answer. */
  async append(input: PromptInput, { signal }: PromptOptions = {}): Promise<void> {
    const messages = messagesOf(input)
    const release = await this.#turn(signal)
    try {
      await this.#keep(await this.#fit([...this.#messages, ...messages], messages.length))
    } catch (error) {
      throw inTheirWords(error, signal)
    } finally {
      release()
    }
  }

  /** Tokens that these messages would add. */
  async measureContextUsage(input: PromptInput, options: PromptOptions = {}): Promise<number> {
    this.#check(options.signal)
    try {
      const tokens = await this.#count([...this.#messages, ...messagesOf(input)])
      return tokens - (await this.#count(this.#messages))
    } catch (error) {
      throw inTheirWords(error, options.signal)
    }
  }

  /** The conversation so far, to be continued apart. What both have in common is computed once. */
  async clone({ signal }: { readonly signal?: AbortSignal } = {}): Promise<LanguageModelSession> {
    this.#check(signal)
    const state = {
      model: this.#model,
      contextWindow: this.contextWindow,
      sampling: this.#sampling,
      messages: this.#messages,
    }
    return LanguageModelSession.start(this.#client, state, signal)
  }

  /** Stops what is being answered; everything afterwards throws `InvalidStateError`. The model stays loaded. */
  destroy(): void {
    this.#destroyed.abort(new DOMException('The session was destroyed.', 'AbortError'))
  }

  addEventListener(type: 'contextoverflow', listener: (event: Event) => void): void {
    this.#events.addEventListener(type, listener)
  }

  removeEventListener(type: 'contextoverflow', listener: (event: Event) => void): void {
    this.#events.removeEventListener(type, listener)
  }

  async *#ask(input: PromptInput, options: PromptOptions): AsyncGenerator<string, void, void> {
    const structure = structureOf(options.responseConstraint)
    const asked = messagesOf(input)
    const { signal } = options
    const either = AbortSignal.any([this.#destroyed.signal, ...(signal === undefined ? [] : [signal])])
    const release = await this.#turn(signal)
    try {
      const messages = await this.#fit([...this.#messages, ...asked], asked.length)
      either.throwIfAborted()
      const generation = this.#generate(messages, either, structure)
      for await (const { text } of generation) if (text !== '') yield text
      const { text } = await wholeAnswer(generation, either)
      await this.#keep([...messages, { role: 'assistant', content: text }])
    } catch (error) {
      throw inTheirWords(error, either)
    } finally {
      release()
    }
  }

  #generate(messages: readonly ChatMessage[], signal: AbortSignal, structure: Structure = {}): Generation {
    const options = { ...this.#sampling, ...structure, contextOverflow: 'truncate-start' as const }
    return this.#client.generate({ ...options, model: this.#model, messages, signal })
  }

  /** Drops the oldest messages that are not the system's until there is room. Throws `QuotaExceededError` when the new ones alone are too many. */
  async #fit(messages: readonly ChatMessage[], numNew: number): Promise<readonly ChatMessage[]> {
    let kept = messages
    while ((await this.#count(kept)) >= this.contextWindow) {
      const oldest = kept.findIndex(({ role }) => role !== 'system')
      if (oldest < 0 || oldest >= kept.length - numNew)
        throw new DOMException(`The prompt does not fit ${this.contextWindow} tokens.`, 'QuotaExceededError')
      kept = kept.toSpliced(oldest, 1)
    }
    if (kept !== messages) this.#tellOverflow()
    return kept
  }

  async #keep(messages: readonly ChatMessage[]): Promise<void> {
    this.#usage = await this.#count(messages)
    this.#messages = messages
  }

  async #count(messages: readonly ChatMessage[]): Promise<number> {
    if (messages.length === 0) return 0
    return (await this.#client.tokenize({ model: this.#model, messages })).length
  }

  async #turn(signal: AbortSignal | undefined): Promise<() => void> {
    this.#check(signal)
    const release = await this.#turns.take()
    try {
      this.#check(signal)
      return release
    } catch (error) {
      release()
      throw error
    }
  }

  #check(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted()
    if (this.#destroyed.signal.aborted)
      throw new DOMException('The session was destroyed: create another.', 'InvalidStateError')
  }

  #tellOverflow(): void {
    const event = new Event('contextoverflow')
    this.oncontextoverflow?.(event)
    this.#events.dispatchEvent(event)
  }
}

/** A JSON schema, or a regular expression that the whole answer matches. Throws `SyntaxError` for anything else, as browsers do. */
function structureOf(constraint: unknown): Structure {
  if (constraint === undefined || constraint === null) return {}
  if (constraint instanceof RegExp) return { structuredOutputs: { regex: constraint.source } }
  if (typeof constraint === 'object') return { structuredOutputs: { json: constraint } }
  throw new DOMException('responseConstraint is a JSON schema or a RegExp.', 'SyntaxError')
}
