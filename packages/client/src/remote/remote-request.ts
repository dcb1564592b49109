import type {
  ChoiceEnd,
  DeltaEvent,
  FinishReason,
  GenerateRequest,
  RequestEvent,
  Usage,
} from '@tabserve/protocol'
import { EngineError, toWireError, isRecord } from '@tabserve/protocol'
import type { Clock } from '../control/clock.ts'
import type { FallbackOptions } from '../control/fallback.ts'
import { kserveProtocol } from './kserve-protocol.ts'
import { openAiProtocol } from './openai-protocol.ts'
import type { RemotePiece, RemoteProtocol } from './remote-protocol.ts'
import { serverSentData } from './server-sent-events.ts'

/** Makes a request over HTTP. */
export type Fetch = (url: string, init: RequestInit) => Promise<Response>

const PROTOCOLS: Readonly<Record<FallbackOptions['protocol'], RemoteProtocol>> = {
  openai: openAiProtocol,
  kserve: kserveProtocol,
}

/**
 * Asks a server and says what it answers as a worker would: deltas (without token ids), then one last word. Usage is what the server says, else 0.
 * Returns how to cancel: the answer then ends with reason `abort`.
 */
export function askRemote(
  fallback: FallbackOptions,
  request: GenerateRequest,
  take: (event: RequestEvent) => void,
  ports: { readonly fetch: Fetch; readonly clock: Clock },
): () => void {
  const answer = new RemoteAnswer(request, take, ports.clock)
  void answer.read(fallback, ports.fetch)
  return () => answer.stop('abort')
}

/** One answer of a server on its way. */
class RemoteAnswer {
  readonly #request: GenerateRequest
  readonly #take: (event: RequestEvent) => void
  readonly #clock: Clock
  readonly #abort = new AbortController()
  readonly #began: number
  readonly #ends: (ChoiceEnd | undefined)[]
  readonly #stopTimer: () => void
  #firstMs: number | undefined
  #usage: Usage = { promptTokens: 0, cachedTokens: 0, completionTokens: 0 }
  #hasEnded = false

  constructor(request: GenerateRequest, take: (event: RequestEvent) => void, clock: Clock) {
    this.#request = request
    this.#take = take
    this.#clock = clock
    this.#began = clock.now()
    this.#ends = Array.from({ length: request.n ?? 1 }, () => undefined)
    const { timeoutMs } = request
    this.#stopTimer = timeoutMs === undefined ? () => {} : clock.after(timeoutMs, () => this.stop('timeout'))
  }

  /** Never rejects. */
  async read(fallback: FallbackOptions, fetch: Fetch): Promise<void> {
    const protocol = PROTOCOLS[fallback.protocol]
    try {
      for await (const event of events(await this.#send(fallback, protocol, fetch)))
        for (const piece of protocol.pieces(event)) this.#add(piece)
      if (protocol.saysEnd && this.#ends.includes(undefined)) throw cut(fallback.url)
      this.#finish('stop')
    } catch (error) {
      this.#fail(error instanceof EngineError ? error : unreachable(fallback.url, error))
    }
  }

  /** Before the first text a timeout is a failure, as it is in a worker. */
  stop(reason: 'abort' | 'timeout'): void {
    const words = `The server had not begun to answer within ${this.#request.timeoutMs} ms.`
    if (reason === 'timeout' && this.#firstMs === undefined) this.#fail(new EngineError('timeout', words))
    else this.#finish(reason)
    this.#abort.abort()
  }

  async #send(fallback: FallbackOptions, protocol: RemoteProtocol, fetch: Fetch): Promise<Response> {
    const { url, model, headers, extraBody } = fallback
    const own = typeof headers === 'function' ? await headers() : headers
    const response = await fetch(`${url.replace(/\/+$/, '')}/${protocol.path(this.#request, model)}`, {
      method: 'POST',
      headers: { accept: 'text/event-stream', ...own, 'content-type': 'application/json' },
      body: JSON.stringify({ ...protocol.body(this.#request, model), ...extraBody }),
      signal: this.#abort.signal,
    })
    if (response.ok) return response
    throw refused(url, response, await response.text().catch(() => '')) // the status says enough
  }

  #add(piece: RemotePiece): void {
    if (this.#hasEnded) return
    switch (piece.type) {
      case 'text':
        return this.#say(piece.choice, { text: piece.text })
      case 'reasoning':
        return this.#say(piece.choice, { text: '', reasoning: piece.text })
      case 'calls':
        return this.#say(piece.choice, { text: '', toolCalls: piece.calls })
      case 'end':
        this.#ends[piece.choice] = { reason: piece.reason }
        return
      case 'usage':
        this.#usage = piece.usage
        return
      case 'error':
        throw new EngineError('backend_failed', `The server failed: ${piece.message}`)
    }
  }

  #say(choice: number, said: Pick<DeltaEvent, 'text' | 'reasoning' | 'toolCalls'>): void {
    this.#firstMs ??= this.#clock.now() - this.#began
    this.#take({ type: 'delta', choice, tokens: [], ...said })
  }

  #finish(reason: FinishReason): void {
    this.#end({
      type: 'finish',
      choices: this.#ends.map((end) => end ?? { reason }),
      usage: this.#usage,
      timing: { queueMs: 0, firstTokenMs: this.#firstMs, totalMs: this.#clock.now() - this.#began },
    })
  }

  #fail(error: EngineError): void {
    this.#end({ type: 'error', error: toWireError(error, 'network') })
  }

  #end(event: RequestEvent): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    this.#stopTimer()
    this.#take(event)
  }
}

/** The JSON of each event; of a server that does not stream the one that it is. */
async function* events(response: Response): AsyncGenerator<Record<string, unknown>, void, void> {
  const isStream = response.headers.get('content-type')?.includes('event-stream') === true
  if (!isStream || response.body === null) {
    yield parsed(await response.text())
    return
  }
  for await (const data of serverSentData(response.body)) {
    if (data === '[DONE]') return
    yield parsed(data)
  }
}

function parsed(text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text)
    if (isRecord(value)) return value
  } catch {
    // said below, as of any other text that is no object
  }
  throw new EngineError(
    'backend_failed',
    `The server sent something that is no JSON object: ${text.slice(0, 100)}`,
  )
}

function refused(url: string, { status, headers }: Response, text: string): EngineError {
  const message = `${url} refused the request with status ${status}: ${text.slice(0, 300)}`
  if (status === 404) return new EngineError('model_not_found', message)
  if (status === 429 || status === 503) {
    const seconds = Number(headers.get('retry-after') ?? NaN)
    return new EngineError('queue_full', message, seconds >= 0 ? { retryAfterMs: 1000 * seconds } : {})
  }
  if (status >= 500) return new EngineError('backend_failed', message)
  const advice = status === 401 || status === 403 ? ' Look at fallback.headers.' : ''
  return new EngineError('bad_request', message + advice)
}

function cut(url: string): EngineError {
  return new EngineError('network', `The answer of ${url} was cut. Ask again.`)
}

function unreachable(url: string, cause: unknown): EngineError {
  const words = cause instanceof Error ? cause.message : String(cause)
  const advice = 'Is it up, and does it allow this origin (CORS)?'
  return new EngineError('network', `${url} could not be asked: ${words}. ${advice}`, { cause })
}
