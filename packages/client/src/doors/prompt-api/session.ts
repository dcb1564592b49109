import type { StructuredOutputs } from '@tabserve/protocol'
import type { Client } from '../../client.ts'
import type { Session } from '../../sessions/session.ts'
import { wholeAnswer } from '../answer-stream.ts'
import { inTheirWords } from './exceptions.ts'
import type { PromptInput } from './prompts.ts'
import { messagesOf } from './prompts.ts'

export type SessionClient = Pick<Client, 'session'>

interface Structure {
  readonly structuredOutputs?: StructuredOutputs
}

/** What one prompt can be asked with. */
export interface PromptOptions {
  readonly signal?: AbortSignal
  /** A JSON schema, or a `RegExp` that the whole answer matches. */
  readonly responseConstraint?: unknown
}

export interface SessionSampling {
  readonly temperature?: number
  readonly topK?: number
}

/** A conversation with a model, as the Prompt API has it, over a session of ours. Throws the specification's exceptions. */
export class LanguageModelSession {
  /** Called when the oldest messages were dropped to make room; the system's stay. */
  oncontextoverflow: ((event: Event) => void) | null = null
  readonly #session: Session
  readonly #sampling: SessionSampling
  readonly #events: EventTarget
  readonly #destroyed = new AbortController()

  /** @param initialPrompts are read before it resolves. */
  static async start(
    client: SessionClient,
    model: string,
    sampling: SessionSampling,
    initialPrompts: PromptInput,
    signal: AbortSignal | undefined,
  ): Promise<LanguageModelSession> {
    const { events, onContextOverflow } = overflowEvents()
    const session = await client.session({
      model,
      ...sampling,
      contextOverflow: 'truncate-start',
      onContextOverflow,
    })
    const started = new LanguageModelSession(session, sampling, events, signal)
    if (initialPrompts.length > 0)
      await started.append(initialPrompts, signal === undefined ? {} : { signal })
    return started
  }

  private constructor(
    session: Session,
    sampling: SessionSampling,
    events: EventTarget,
    signal: AbortSignal | undefined,
  ) {
    this.#session = session
    this.#sampling = sampling
    this.#events = events
    events.addEventListener('contextoverflow', (event) => this.oncontextoverflow?.(event))
    signal?.addEventListener('abort', () => this.destroy(), { signal: this.#destroyed.signal })
  }

  /** Tokens that fit. */
  get contextWindow(): number {
    return this.#session.usage.contextLength
  }

  /** Tokens of the conversation so far. */
  get contextUsage(): number {
    return this.#session.usage.tokens
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

  /** Adds messages without an answer; they are read at once. */
  append(input: PromptInput, { signal }: PromptOptions = {}): Promise<void> {
    return this.#guarded(signal, () =>
      this.#session.append(messagesOf(input), { signal: this.#either(signal) }),
    )
  }

  /** Tokens that these messages would add. */
  measureContextUsage(input: PromptInput, { signal }: PromptOptions = {}): Promise<number> {
    return this.#guarded(signal, () => this.#session.measure(messagesOf(input)))
  }

  /** The conversation so far, to be continued apart. What both have in common is computed, and kept, once. */
  clone({ signal }: { readonly signal?: AbortSignal } = {}): Promise<LanguageModelSession> {
    return this.#guarded(signal, async () => {
      const { events, onContextOverflow } = overflowEvents()
      const copy = await this.#session.clone({ onContextOverflow })
      return new LanguageModelSession(copy, this.#sampling, events, signal)
    })
  }

  /** Stops what is being answered; everything afterwards throws `InvalidStateError`. The model stays loaded. */
  destroy(): void {
    this.#destroyed.abort(new DOMException('The session was destroyed.', 'AbortError'))
    this.#session.destroy()
  }

  /** `contextoverflow`: the oldest messages were dropped to make room. */
  addEventListener(type: 'contextoverflow', listener: (event: Event) => void): void {
    this.#events.addEventListener(type, listener)
  }

  /** Takes a listener away. */
  removeEventListener(type: 'contextoverflow', listener: (event: Event) => void): void {
    this.#events.removeEventListener(type, listener)
  }

  async *#ask(input: PromptInput, options: PromptOptions): AsyncGenerator<string, void, void> {
    const structure = structureOf(options.responseConstraint)
    const asked = messagesOf(input)
    this.#check(options.signal)
    const either = this.#either(options.signal)
    try {
      const generation = this.#session.chat(asked, { ...structure, signal: either })
      for await (const { text } of generation) if (text !== '') yield text
      await wholeAnswer(generation, either)
    } catch (error) {
      throw inTheirWords(error, either)
    }
  }

  async #guarded<T>(signal: AbortSignal | undefined, work: () => Promise<T>): Promise<T> {
    this.#check(signal)
    try {
      return await work()
    } catch (error) {
      throw inTheirWords(error, this.#either(signal))
    }
  }

  /** Fires when the caller's does, and when the session is destroyed. */
  #either(signal: AbortSignal | undefined): AbortSignal {
    return AbortSignal.any([this.#destroyed.signal, ...(signal === undefined ? [] : [signal])])
  }

  #check(signal: AbortSignal | undefined): void {
    signal?.throwIfAborted()
    if (this.#destroyed.signal.aborted)
      throw new DOMException('The session was destroyed: create another.', 'InvalidStateError')
  }
}

function overflowEvents() {
  const events = new EventTarget()
  const onContextOverflow = () => void events.dispatchEvent(new Event('contextoverflow'))
  return { events, onContextOverflow }
}

/** A JSON schema, or a regular expression that the whole answer matches. Throws `SyntaxError` for anything else, as browsers do. */
function structureOf(constraint: unknown): Structure {
  if (constraint === undefined || constraint === null) return {}
  if (constraint instanceof RegExp) return { structuredOutputs: { regex: constraint.source } }
  if (typeof constraint === 'object') return { structuredOutputs: { json: constraint } }
  throw new DOMException('responseConstraint is a JSON schema or a RegExp.', 'SyntaxError')
}
