import type {
  ErrorCode,
  FinishEvent,
  GenerateRequest,
  RequestEndEvent,
  RequestEvent,
  RequestParams,
  ServedBy,
} from '@tabserve/protocol'
import { toWireError, timeMs } from '@tabserve/protocol'
import type { Listener } from '../control/dispatcher.ts'
import type { TelemetryHook } from './telemetry-options.ts'

/** Stands between a request and its listener, and tells what passes. */
export class RequestTelemetry {
  /** In place of the request's own. */
  readonly listener: Listener = {
    servedBy: (server) => this.#servedBy(server),
    take: (event) => this.#take(event),
  }
  readonly #request: GenerateRequest
  readonly #id: string
  readonly #heard: Listener
  readonly #tell: TelemetryHook
  readonly #arrivalMs = timeMs()
  /** What each answer has said, where content is told. */
  readonly #output: string[] | undefined
  #server: ServedBy | undefined
  #firstDeltaMs: number | undefined
  #numTokens = 0

  constructor(
    request: GenerateRequest,
    id: string,
    listener: Listener,
    tellsContent: boolean,
    tell: TelemetryHook,
  ) {
    this.#request = request
    this.#id = id
    this.#heard = listener
    this.#tell = tell
    this.#output = tellsContent ? [] : undefined
    const { model, priority = 0, prompt, messages } = request
    const input = tellsContent ? (messages ?? prompt) : undefined
    tell({
      type: 'request-start',
      id,
      timeMs: this.#arrivalMs,
      model,
      priority,
      params: paramsOf(request),
      ...this.#trace(),
      ...(input === undefined ? {} : { input }),
    })
  }

  /** It was not even sent. */
  refused(error: unknown): void {
    this.#end(toWireError(error, 'bad_request').code)
  }

  #servedBy(server: ServedBy): void {
    this.#server = server
    this.#heard.servedBy(server)
    const { model, alias } = server
    const of = { id: this.#id, timeMs: timeMs(), model }
    if (server.where === 'remote') {
      const { alias, url, reason } = server
      this.#tell({ type: 'fallback', ...of, alias, url, reason })
    } else this.#tell({ type: 'route', ...of, ...(alias === undefined ? {} : { alias }) })
  }

  #take(event: RequestEvent): void {
    this.#heard.take(event)
    if (event.type === 'delta') this.#tellOfDelta(event.choice, event.tokens.length, event.text)
    else if (event.type === 'finish') this.#end(event)
    else if (event.type === 'error') this.#end(event.error.code)
  }

  #tellOfDelta(choice: number, numTokens: number, text: string): void {
    const now = timeMs()
    this.#firstDeltaMs ??= now
    this.#numTokens += numTokens
    if (this.#output !== undefined) this.#output[choice] = (this.#output[choice] ?? '') + text
    this.#tell({ type: 'request-tokens', id: this.#id, timeMs: now, choice, numTokens })
  }

  #end(end: FinishEvent | ErrorCode): void {
    const { model: asked, priority = 0 } = this.#request
    const server = this.#server
    const output = this.#output
    const event: RequestEndEvent = {
      type: 'request-end',
      id: this.#id,
      timeMs: timeMs(),
      asked,
      model: server?.model ?? asked,
      ...(server?.alias === undefined ? {} : { alias: server.alias }),
      servedBy: server?.where ?? 'local',
      priority,
      ...this.#trace(),
      arrivalMs: this.#arrivalMs,
      ...(this.#firstDeltaMs === undefined ? {} : { firstDeltaMs: this.#firstDeltaMs }),
      ...(typeof end === 'string' ? this.#failure(end) : storyOf(end)),
      ...(output === undefined ? {} : { output }),
    }
    this.#tell(event)
  }

  #failure(error: ErrorCode): Pick<RequestEndEvent, 'usage' | 'finishReasons' | 'error'> {
    const usage = { promptTokens: 0, cachedTokens: 0, completionTokens: this.#numTokens }
    return { usage, finishReasons: [], error }
  }

  #trace(): Pick<RequestEndEvent, 'traceparent'> {
    const { traceparent } = this.#request
    return traceparent === undefined ? {} : { traceparent }
  }
}

/** What an engine's last word says. Its times are from submit on. */
function storyOf({
  usage,
  timing,
  work,
  choices,
}: FinishEvent): Pick<
  RequestEndEvent,
  'usage' | 'work' | 'finishReasons' | 'queuedMs' | 'scheduledMs' | 'firstTokenMs' | 'lastTokenMs'
> {
  const finishReasons = choices.map(({ reason }) => reason)
  if (work === undefined) return { usage, finishReasons }
  const { submittedMs, lastTokenMs } = work
  const { queueMs, firstTokenMs } = timing
  return {
    usage,
    finishReasons,
    work,
    queuedMs: submittedMs,
    scheduledMs: submittedMs + queueMs,
    ...(firstTokenMs === undefined ? {} : { firstTokenMs: submittedMs + firstTokenMs }),
    ...(lastTokenMs === undefined ? {} : { lastTokenMs: submittedMs + lastTokenMs }),
  }
}

function paramsOf(request: GenerateRequest): RequestParams {
  const { messages, n = 1, maxTokens, temperature, topP, topK, seed, stop } = request
  const { frequencyPenalty, presencePenalty } = request
  const given = { maxTokens, temperature, topP, topK, seed, frequencyPenalty, presencePenalty }
  return {
    operation: messages === undefined ? 'text_completion' : 'chat',
    n,
    ...definedOf(given),
    ...(stop === undefined ? {} : { stop: typeof stop === 'string' ? [stop] : stop }),
  }
}

function definedOf<T extends object>(values: T): { [Name in keyof T]?: NonNullable<T[Name]> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as {
    [Name in keyof T]?: NonNullable<T[Name]>
  } // the same names, without those that have no value
}
