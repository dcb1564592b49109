import type {
  DeltaEvent,
  GenerateRequest,
  OneShotRequest,
  Request,
  RequestEvent,
  ResumedAnswer,
  Timing,
} from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** What a flight must know of its request: how it is asked, and asked again where it was. */
export interface Course {
  /** As the first worker gets it. */
  readonly request: Request
  hear(event: DeltaEvent): void
  /** As the next worker gets it. Throws `engine_lost` where it cannot be asked again. @param elapsedMs since it was submitted. */
  again(elapsedMs: number): Request
  /** Its last word where it is cancelled and no worker can say so. */
  abortion(timing: Timing): RequestEvent
}

export function courseOf(request: Request): Course {
  return request.task === 'generate' ? new GenerateCourse(request) : new OneShotCourse(request)
}

class GenerateCourse implements Course {
  readonly request: GenerateRequest
  /** Tokens that each answer has said. */
  readonly #said: number[][]

  constructor(request: GenerateRequest) {
    // With a seed of its own a request can be repeated, also where nobody gave it one.
    const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0
    this.request = request.seed === undefined ? { ...request, seed } : request
    this.#said = Array.from({ length: request.n === undefined ? 1 : Number(request.n) || 1 }, () => [])
  }

  hear({ choice, tokens }: DeltaEvent): void {
    this.#said[choice]?.push(...tokens)
  }

  again(elapsedMs: number): GenerateRequest {
    const { queueTimeoutMs, timeoutMs, ...request } = this.request
    const hasBegun = this.#said.some((tokens) => tokens.length > 0)
    return {
      ...request,
      ...timeLeft(timeoutMs, elapsedMs),
      ...(hasBegun || queueTimeoutMs === undefined ? {} : { queueTimeoutMs }),
      // It was let in once.
      ...(hasBegun ? { admission: 'queue' } : {}),
      resume: this.#said.map((tokens): ResumedAnswer => ({ tokens })),
    }
  }

  abortion(timing: Timing): RequestEvent {
    const completionTokens = this.#said.reduce((sum, { length }) => sum + length, 0)
    return {
      type: 'finish',
      choices: this.#said.map(() => ({ reason: 'abort' })),
      usage: { promptTokens: 0, cachedTokens: 0, completionTokens },
      timing,
    }
  }
}

class OneShotCourse implements Course {
  readonly request: OneShotRequest

  constructor(request: OneShotRequest) {
    this.request = request
  }

  hear(): void {} // it says nothing before its last word

  again(elapsedMs: number): OneShotRequest {
    const { timeoutMs, ...request } = this.request
    if (request.sequence !== undefined)
      throw lost('The state of its sequence died with its worker. Begin another sequence.')
    if (request.transfer === true) throw lost('Its inputs had moved to the worker that died. Ask again.')
    return { ...request, ...timeLeft(timeoutMs, elapsedMs) }
  }

  abortion(): RequestEvent {
    return { type: 'error', error: new EngineError('aborted', 'The request was cancelled.').toWire() }
  }
}

function timeLeft(timeoutMs: number | undefined, elapsedMs: number): { timeoutMs?: number } {
  return timeoutMs === undefined ? {} : { timeoutMs: Math.max(1, timeoutMs - elapsedMs) }
}

function lost(advice: string): EngineError {
  return new EngineError('engine_lost', `The worker that computed the request died. ${advice}`)
}
