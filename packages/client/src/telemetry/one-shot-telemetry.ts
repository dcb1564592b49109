import type {
  ErrorCode,
  InferEndEvent,
  OneShotRequest,
  RequestEvent,
  ResultEvent,
  ServedBy,
} from '@tabserve/protocol'
import { timeMs, toWireError } from '@tabserve/protocol'
import type { Listener } from '../control/dispatcher.ts'
import type { TelemetryHook } from './telemetry-options.ts'

interface Asked {
  readonly id: string
  readonly request: OneShotRequest
  /** The model's task, where it is known. */
  readonly handler: string | undefined
  readonly tellsContent: boolean
}

/** Stands between a one-shot request and its listener, and tells what passes. */
export class OneShotTelemetry {
  /** In place of the request's own. */
  readonly listener: Listener = {
    servedBy: (server) => this.#servedBy(server),
    take: (event) => this.#take(event),
  }
  readonly #asked: Asked
  readonly #heard: Listener
  readonly #tell: TelemetryHook
  readonly #arrivalMs = timeMs()
  #server: ServedBy | undefined

  constructor(asked: Asked, listener: Listener, tell: TelemetryHook) {
    this.#asked = asked
    this.#heard = listener
    this.#tell = tell
    const { request, tellsContent } = asked
    const input = request.task === 'run' ? request.input : request.inputs
    tell({
      type: 'infer-start',
      timeMs: this.#arrivalMs,
      ...this.#story(),
      ...(tellsContent ? { input } : {}),
    })
  }

  /** It was not even sent. */
  refused(error: unknown): void {
    this.#end({ error: toWireError(error, 'bad_request').code })
  }

  #servedBy(server: ServedBy): void {
    this.#server = server
    this.#heard.servedBy(server)
    const { model, alias } = server
    const { id } = this.#asked
    this.#tell({ type: 'route', id, timeMs: timeMs(), model, ...(alias === undefined ? {} : { alias }) })
  }

  #take(event: RequestEvent): void {
    // Before the caller has it, who may do with the answer's buffers what it wants.
    if (event.type === 'result') this.#end(event)
    else if (event.type === 'error') this.#end({ error: event.error.code })
    this.#heard.take(event)
  }

  #end(end: ResultEvent | { readonly error: ErrorCode }): void {
    const { model = this.#asked.request.model, alias } = this.#server ?? {}
    this.#tell({
      type: 'infer-end',
      timeMs: timeMs(),
      ...this.#story(),
      model,
      ...(alias === undefined ? {} : { alias }),
      arrivalMs: this.#arrivalMs,
      ...('error' in end ? { error: end.error, batchSize: 0, isCached: false } : this.#answered(end)),
    })
  }

  #answered({
    timing,
    work,
    batchSize,
    isCached,
    outputs,
    output,
  }: ResultEvent): Pick<InferEndEvent, 'timing' | 'work' | 'batchSize' | 'isCached' | 'output'> {
    return {
      timing,
      batchSize,
      isCached,
      ...(work === undefined ? {} : { work }),
      ...(this.#asked.tellsContent ? { output: outputs ?? output } : {}),
    }
  }

  #story(): Pick<InferEndEvent, 'id' | 'asked' | 'task' | 'handler' | 'priority' | 'traceparent'> {
    const { id, request, handler } = this.#asked
    const { model: asked, task, priority = 0, traceparent } = request
    return {
      id,
      asked,
      task,
      priority,
      ...(handler === undefined ? {} : { handler }),
      ...(traceparent === undefined ? {} : { traceparent }),
    }
  }
}
