import type {
  Answer,
  ChatMessage,
  FinishEvent,
  GenerateRequest,
  HubApi,
  RestoredSession,
  SamplingParams,
  SavedSession,
  SessionState,
} from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Listener } from '../control/dispatcher.ts'
import type { Generation } from '../generation.ts'
import type { Host } from '../hub/host.ts'
import { startGeneration } from '../start-generation.ts'
import type { Read, SessionSetting } from './reader.ts'
import { Reader } from './reader.ts'
import type { AnswerOptions, SessionOptions } from './session-options.ts'
import { submitLater } from './submit-later.ts'
import type { Transcript } from './transcript.ts'
import { answered, extended, fromState, messagesOf, toState } from './transcript.ts'
import { Turns } from './turns.ts'

/** Seeds of two answers lie so far apart: as many answers as one request may have. */
const SEED_STEP = 64

/** What a session asks of its client. */
export interface SessionPorts {
  submit(request: GenerateRequest, listener: Listener): () => void
  readonly host: Pick<Host, 'call'>
  /** The session is there, or not any more. */
  onOpen(session: Session): void
  onEnd(session: Session): void
}

/** How full the context of a session is, in tokens. */
export interface SessionUsage {
  /** Of everything that was read and said. */
  readonly tokens: number
  readonly contextLength: number
}

/** How text is added to a session. A `signal` that fires leaves it as it was. */
export interface TurnOptions {
  readonly signal?: AbortSignal
}

/** What restoring does where the saved KV does not fit. */
export interface RestoreOptions {
  /** Has the text read again where its KV is damaged, gone, or of another model or layout, instead of refusing. Default false. */
  readonly recompute?: boolean
}

/**
 * A conversation with one version of a model, or one text that is continued; the model keeps its KV for as long as memory allows, and computes it
 * again in silence where that is gone: with a worker, or for want of room. What is asked goes one after the other. A turn that fails or is aborted
 * leaves the session as it was.
 */
export class Session {
  readonly id = `session-${crypto.getRandomValues(new Uint32Array(4)).join('-')}`
  readonly #ports: SessionPorts
  readonly #setting: SessionSetting
  readonly #reader: Reader
  readonly #turns = new Turns()
  #transcript: Transcript
  /** `undefined`: to be tokenized again. */
  #tokens: readonly number[] | undefined
  #numTokens: number
  #sampling: SamplingParams
  #seed: number
  #numAnswers: number
  readonly #cacheSalt: string | undefined
  #name: string | undefined
  #isDestroyed = false
  #cancel = () => {}

  constructor(ports: SessionPorts, setting: SessionSetting, state: SessionState) {
    this.#ports = ports
    this.#setting = setting
    this.#reader = new Reader(setting, (request) => this.#call((api) => api.tokenize(request)))
    this.#transcript = fromState(state)
    this.#tokens = tokensOf(state)
    this.#numTokens = state.tokens.length
    this.#sampling = state.sampling
    this.#seed = state.seed
    this.#numAnswers = state.numAnswers
    this.#cacheSalt = state.cacheSalt
    ports.onOpen(this)
  }

  /** `name@version`. Once that is unloaded, what is asked fails with `model_not_loaded` until it is loaded again. */
  get model(): string {
    return this.#setting.model
  }

  /** Of a conversation. */
  get messages(): readonly ChatMessage[] {
    return messagesOf(this.#transcript)
  }

  /** Of a text. */
  get text(): string {
    return this.#transcript.kind === 'text' ? this.#transcript.text : ''
  }

  /** All that was read and said; none where a stop string has ended the last answer, until the next turn. */
  get tokens(): readonly number[] {
    return this.#tokens ?? []
  }

  get usage(): SessionUsage {
    return { tokens: this.#numTokens, contextLength: this.#setting.contextLength }
  }

  /**
   * Adds messages, or text, without an answer; the model reads them now, so that the next answer begins sooner. Throws `context_overflow`,
   * `bad_request`, `model_not_loaded`, `aborted`.
   */
  async append(input: string | readonly ChatMessage[], { signal }: TurnOptions = {}): Promise<void> {
    await this.#turn(async () => {
      const read = await this.#reader.fitted(extended(this.#transcript, input), input.length)
      const { finishReason } = await startGeneration(signal, (listener) =>
        this.#submit(read.tokens, { maxTokens: 0 }, listener),
      )
      if (finishReason === 'abort') throw new EngineError('aborted', 'The signal fired before all was read.')
      this.#keep(read)
    })
  }

  /** Answers a question, or what was appended last. Its text joins the conversation. */
  chat(input: string | readonly ChatMessage[] = [], options: AnswerOptions = {}): Generation {
    const asked: readonly ChatMessage[] =
      typeof input === 'string' ? [{ role: 'user', content: input }] : input
    return this.#answer(options, async () => {
      const next = extended(this.#transcript, asked)
      return asked.length === 0 ? this.#asItIs() : this.#reader.fitted(next, asked.length)
    })
  }

  /** Continues the text, behind more of it if that is given; of a conversation the last answer, or answers what was appended last. */
  generate(text = '', options: AnswerOptions = {}): Generation {
    return this.#answer(options, async () =>
      text === '' ? this.#asItIs() : this.#reader.fitted(extended(this.#transcript, text), text.length),
    )
  }

  /** Tokens that this would add. */
  async measure(input: string | readonly ChatMessage[]): Promise<number> {
    const [longer, now] = [extended(this.#transcript, input), this.#transcript]
    return (await this.#reader.tokenize(longer)).length - (await this.#reader.tokenize(now)).length
  }

  /** The same again, to go on apart from here; both share the KV that they have in common. */
  async clone(options: Pick<SessionOptions, 'onContextOverflow'> = {}): Promise<Session> {
    return this.#turn(async () => {
      const copy = new Session(this.#ports, { ...this.#setting, ...options }, this.#state(this.#tokens ?? []))
      await this.#call((api) => api.shareSession(this.model, this.id, copy.id))
      return copy
    })
  }

  /**
   * Keeps the session in the browser's storage, its KV too: after a reload it goes on without its text being read. One of the same name is replaced.
   * @param name Default: the one that it was saved or restored by last, else its id. Throws `storage`, `bad_request`, `model_not_loaded`.
   */
  async save(name: string = this.#name ?? this.id): Promise<SavedSession> {
    return this.#turn(async () => {
      const { tokens } = await this.#asItIs()
      const request = { model: this.model, session: this.id, name, state: this.#state(tokens) }
      const saved = await this.#call((api) => api.saveSession(request))
      this.#name = name
      return saved
    })
  }

  /**
   * Puts this session where a saved one of the same model was. Throws `session_not_found`, `session_mismatch`, `integrity`; the session is then as
   * it was.
   */
  async restore(name: string, { recompute = false }: RestoreOptions = {}): Promise<RestoredSession> {
    return this.#turn(async () => {
      const request = { name, model: this.model, session: this.id, recompute }
      const restored = await this.#call((api) => api.restoreSession(request))
      const { state } = restored
      const transcript = fromState(state)
      const tokens = tokensOf(state) ?? (await this.#reader.tokenize(transcript))
      this.#keep({ transcript, tokens })
      this.#sampling = state.sampling
      this.#seed = state.seed
      this.#numAnswers = state.numAnswers
      this.#name = name
      return restored
    })
  }

  /** Ends the session: what it is answering stops, and its KV may go. What was saved stays. */
  destroy(): void {
    if (this.#isDestroyed) return
    this.#isDestroyed = true
    this.#cancel()
    this.#ports.onEnd(this)
    void this.#call((api) => api.releaseSession(this.model, this.id)).catch(() => {}) // its model is gone, and its KV with it
  }

  /** The same as `destroy`, for `using`. */
  [Symbol.dispose](): void {
    this.destroy()
  }

  #answer({ signal, ...options }: AnswerOptions, read: () => Promise<Read>): Generation {
    return startGeneration(signal, (listener) =>
      submitLater(listener, this.model, async () => {
        const release = await this.#take()
        try {
          const asked = await read()
          const submit = (listener: Listener) => this.#submitAnswer(asked, options, listener, release)
          return { submit, drop: release }
        } catch (error) {
          release()
          throw error
        }
      }),
    )
  }

  #submitAnswer(
    { transcript, tokens }: Read,
    options: AnswerOptions,
    { servedBy, take }: Listener,
    release: () => void,
  ): () => void {
    let text = ''
    const said: number[] = []
    const keep = ({ choices: [end] }: FinishEvent) => {
      if (end === undefined || end.reason === 'abort') return
      this.#numAnswers++
      this.#keep({ transcript: answered(transcript, text), tokens: [...tokens, ...said] })
      // Tokens of a stop string are said and not in the text; what overflowed was dropped over there.
      if (typeof end.stop === 'string' || this.#numTokens > this.#setting.contextLength)
        this.#tokens = undefined
    }
    const seed = this.#seed + SEED_STEP * this.#numAnswers
    return this.#submit(
      tokens,
      { seed, ...options },
      {
        servedBy,
        take: (event) => {
          if (event.type === 'delta') {
            text += event.text
            said.push(...event.tokens)
          } else {
            if (event.type === 'finish') keep(event)
            release()
          }
          take(event)
        },
      },
    )
  }

  #submit(tokens: readonly number[], options: AnswerOptions, listener: Listener): () => void {
    const request: GenerateRequest = {
      task: 'generate',
      ...this.#sampling,
      ...options,
      model: this.model,
      session: this.id,
      promptTokens: tokens,
      ...(this.#cacheSalt === undefined ? {} : { cacheSalt: this.#cacheSalt }),
      ...(this.#setting.contextOverflow === 'error' ? {} : { contextOverflow: 'truncate-start' }),
    }
    this.#cancel = this.#ports.submit(request, listener)
    return this.#cancel
  }

  async #asItIs(): Promise<Read> {
    const tokens = this.#tokens ?? (await this.#reader.tokenize(this.#transcript))
    if (tokens.length === 0)
      throw new EngineError('bad_request', 'The session is empty: append something first.')
    return { transcript: this.#transcript, tokens }
  }

  #keep({ transcript, tokens }: Read): void {
    this.#transcript = transcript
    this.#tokens = tokens
    this.#numTokens = tokens.length
  }

  #state(tokens: readonly number[]): SessionState {
    return {
      ...toState(this.#transcript),
      tokens,
      sampling: this.#sampling,
      seed: this.#seed,
      numAnswers: this.#numAnswers,
      ...(this.#cacheSalt === undefined ? {} : { cacheSalt: this.#cacheSalt }),
    }
  }

  #call<T>(method: (api: HubApi) => Promise<Answer<T>>): Promise<T> {
    return this.#ports.host.call(method)
  }

  async #turn<T>(work: () => Promise<T>): Promise<T> {
    const release = await this.#take()
    try {
      return await work()
    } finally {
      release()
    }
  }

  async #take(): Promise<() => void> {
    const release = await this.#turns.take()
    if (!this.#isDestroyed) return release
    release()
    throw new EngineError('session_not_found', 'The session was destroyed: open another.')
  }
}

/** Of an empty list it is not known whether the text has none. */
function tokensOf({ tokens }: SessionState): readonly number[] | undefined {
  return tokens.length === 0 ? undefined : tokens
}
