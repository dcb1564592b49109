import type {
  Answer,
  FinishEvent,
  HubApi,
  Request,
  RequestCommand,
  RequestEvent,
  SubmitEnd,
  Timing,
} from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import type { Course } from './course.ts'
import { courseOf } from './course.ts'
import { handOver, handOverTensors } from './link.ts'

/** How often one request is put to another worker: one that kills every worker it meets must not do so for ever. */
export const MOST_REPLAYS = 3

/** Whoever takes requests. */
export interface FlightHost {
  call<T>(method: (api: Pick<HubApi, 'submit' | 'cancel'>) => Promise<Answer<T>>): Promise<T>
}

/**
 * One request from its submit to its last word, whatever becomes of the workers on the way. When one dies, the request goes to another with what it
 * had said, and goes on there. Invariant: `take` hears every token once, and exactly one last word.
 */
export class Flight {
  readonly #host: FlightHost
  readonly #course: Course
  readonly #take: (event: RequestEvent) => void
  readonly #id: string
  readonly #submitted = performance.now()
  /** It was under way before, and goes on with what it has said. */
  #isResumed = false
  #firstTokenMs: number | undefined
  #port: MessagePort | undefined
  #numReplays = 0
  #isCancelled = false
  #isOver = false

  /** @param id unique among the requests of this client. */
  constructor(host: FlightHost, request: Request, id: string, take: (event: RequestEvent) => void) {
    this.#host = host
    this.#course = courseOf(request)
    this.#id = id
    this.#take = take
  }

  /** Ends it with reason `abort`; harmless when it has ended. */
  cancel(): void {
    if (this.#isOver) return
    this.#isCancelled = true
    this.#port?.postMessage({ type: 'cancel' } satisfies RequestCommand)
    // It may still wait for a worker, or its worker may just have died.
    void this.#host.call((api) => api.cancel(this.#id)).catch(() => {}) // then `submit` has failed as well
  }

  /** Ends it here and now; nothing is replayed. */
  fail(error: EngineError): void {
    this.#end({ type: 'error', error: error.toWire() })
  }

  /** Resolves when its last word is said. Never rejects. */
  async run(): Promise<void> {
    // After this task, so that one whose signal had fired before goes as cancelled.
    await Promise.resolve()
    while (!this.#isOver) {
      try {
        await this.#fly()
      } catch (error) {
        if (this.#isOver) return
        if (this.#isCancelled) return this.#end(this.#course.abortion(this.#timing()))
        if (!isLost(error) || this.#numReplays >= MOST_REPLAYS)
          return this.#end({ type: 'error', error: toWireError(error, 'bad_request') })
        this.#numReplays++
        this.#isResumed = true
      }
    }
  }

  /** One worker, to the end or until the model goes to sleep. Throws `engine_lost` when it died, and what else keeps the request from it. */
  async #fly(): Promise<void> {
    const { port1, port2 } = new MessageChannel()
    this.#port = port1
    try {
      const request = this.#onward()
      const over = new Promise<SubmitEnd>((resolve) => {
        port1.onmessage = ({ data }: MessageEvent<RequestEvent>) => {
          if (this.#port !== port1 || this.#isOver) return
          this.#hear(data)
          if (this.#isOver) resolve('over')
        }
      })
      // The worker answers `submit` when it has said everything; but what it said comes on another port, perhaps later.
      const answered = this.#host.call((api) =>
        api.submit(handOverTensors(request), handOver(port2), this.#id, this.#isCancelled),
      )
      const end = await Promise.race([over, answered.then((end) => (end === 'again' ? end : over))])
      if (end === 'again') this.#isResumed = true
    } finally {
      port1.close()
    }
  }

  #hear(event: RequestEvent): void {
    if (event.type !== 'delta') return this.#end(event)
    this.#firstTokenMs ??= performance.now() - this.#submitted
    this.#course.hear(event)
    this.#take(event)
  }

  #onward(): Request {
    return this.#isResumed ? this.#course.again(this.#elapsedMs()) : this.#course.request
  }

  #end(event: RequestEvent): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#port?.close()
    this.#take(event.type === 'finish' && this.#isResumed ? this.#ofAllWorkers(event) : event)
  }

  #ofAllWorkers({ work: _, ...event }: FinishEvent): FinishEvent {
    return { ...event, timing: this.#timing() }
  }

  /** As the page saw it: the last worker knows only its own part. */
  #timing(): Timing {
    const totalMs = this.#elapsedMs()
    const firstTokenMs = this.#firstTokenMs
    return { queueMs: firstTokenMs ?? totalMs, firstTokenMs, totalMs }
  }

  #elapsedMs(): number {
    return performance.now() - this.#submitted
  }
}

function isLost(error: unknown): boolean {
  return error instanceof EngineError && error.code === 'engine_lost'
}
