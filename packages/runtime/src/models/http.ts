import { EngineError } from '@tabserve/protocol'
import type { Validator } from './file-version.ts'
import { validatorOf } from './file-version.ts'
import { TransientFailure, aborted, retryAfterMs } from './retry.ts'
import { Watchdog } from './watchdog.ts'

export interface HttpOptions {
  /** Origins that may be asked, and redirected to. `undefined`: any. */
  readonly allowedOrigins?: readonly string[] | undefined
  /** A request that brings nothing for so long is given up and tried again. Default 30 s. */
  readonly stallMs?: number
  readonly fetch?: typeof fetch
}

export interface HttpRequest {
  /** What the manifest calls the file. */
  readonly name: string
  readonly signal: AbortSignal
  /** Bytes wanted, the last one included. `undefined`: all. */
  readonly range?: readonly [first: number, last: number] | undefined
  /** The version of which bytes are wanted: of another one the whole file comes. Not sent to other origins, which would have to allow it. */
  readonly ifRange?: string | undefined
  readonly cache: RequestCache
  /** Default `GET`. */
  readonly method?: 'GET' | 'HEAD'
  /** Sent as `Authorization: Bearer`, which browsers do not carry over to another origin; never part of an error. */
  readonly token?: string | undefined
  /** Who asks looks himself whether the answer is a web page in a file's place. Default false. */
  readonly allowsPages?: boolean
}

/** An answer with a body that may be a file's. */
export interface HttpAnswer {
  readonly url: string
  /** It is the whole file, also where a part was asked for. */
  readonly isWhole: boolean
  /** Its bytes are not the file's own, so that a part of them is of no use. */
  readonly isCompressed: boolean
  /** Where in the file the body begins. */
  readonly from: number
  /** Bytes that the body claims to have, where the server says so and nothing compresses it. */
  readonly claimedBytes: number | undefined
  /** Size of the whole file, where the server says so. */
  readonly totalBytes: number | undefined
  readonly validator: Validator
  /** `null` where it is absent, or hidden from other origins. */
  header(name: string): string | null
  /** Ends the request of which nobody reads the body. */
  close(): void
  /** Leaving the loop ends the request. Throws `TransientFailure` when the connection breaks or stalls, `aborted`. */
  pieces(): AsyncGenerator<Uint8Array>
}

const STALL_MS = 30_000

/** Fetches: gives failures our codes, and says which of them may be tried again. */
export class Http {
  readonly #allowed: ReadonlySet<string> | undefined
  readonly #stallMs: number
  readonly #fetch: typeof fetch

  constructor({ allowedOrigins, stallMs = STALL_MS, fetch: fetcher }: HttpOptions = {}) {
    this.#allowed = allowedOrigins === undefined ? undefined : new Set(allowedOrigins)
    this.#stallMs = stallMs
    this.#fetch = fetcher ?? ((...request) => fetch(...request))
  }

  /**
   * Throws `bad_request` before any request to an origin that is not allowed; `model_not_found`, `access_denied`, `network`, `integrity` or
   * `aborted` for what will not change, else `TransientFailure`.
   */
  async get(
    url: string,
    { name, signal, range, ifRange, cache, method = 'GET', token, allowsPages = false }: HttpRequest,
  ): Promise<HttpAnswer> {
    this.#checkOrigin(url, name)
    const watchdog = new Watchdog(signal, this.#stallMs)
    const headers = {
      ...(range === undefined ? {} : { range: `bytes=${range[0]}-${range[1]}` }),
      ...(ifRange === undefined || !isOwnOrigin(url) ? {} : { 'if-range': ifRange }),
      ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    }
    try {
      const init = {
        method,
        headers,
        cache,
        signal: watchdog.signal,
        credentials: 'same-origin',
        priority: 'low',
        mode: this.#mayLeave(url) ? 'cors' : 'same-origin',
      } as const
      const response = await watchdog.guard(this.#fetch(url, init))
      // Before the body is read. A redirect's target has had the request by then: browsers do not say where a redirect leads.
      if (response.url !== '') this.#checkOrigin(response.url, name)
      checkStatus(response, url, name, token !== undefined)
      if (!allowsPages) checkNoPage(response, url, name)
      return answerOf(response, url, range, {
        pieces: () => bodyOf(response, watchdog, url, name),
        close: () => watchdog.stop(),
      })
    } catch (cause) {
      watchdog.stop()
      throw failureOf(cause, watchdog, url, name, this.#mayLeave(url))
    }
  }

  /** `false`: only the page's own origin is allowed, and the browser itself refuses a redirect elsewhere before anybody there is asked. */
  #mayLeave(url: string): boolean {
    return this.#allowed === undefined || this.#allowed.size > 1 || !isOwnOrigin(url, false)
  }

  #checkOrigin(url: string, name: string): void {
    const { origin } = new URL(url)
    if (this.#allowed === undefined || this.#allowed.has(origin)) return
    const advice = `Allowed are ${[...this.#allowed].join(', ') || 'none'}; add it to \`allowedOrigins\` if you trust it.`
    throw new EngineError('bad_request', `${origin} is not an origin that models may come from. ${advice}`, {
      file: name,
    })
  }
}

/** A page where a file should be: a login, a captive portal, or a host that answers everything with its front page. */
function checkNoPage({ headers }: Response, url: string, name: string): void {
  const isPage = /^text\/html\b/i.test(headers.get('content-type') ?? '')
  if (!isPage || /\.html?$/.test(name) || name === 'manifest.json') return
  const message = `${url} answered with a web page, not with a model's file. Check the address.`
  throw new EngineError('network', message, { file: name })
}

function checkStatus(response: Response, url: string, name: string, hadToken: boolean): void {
  const { status, headers } = response
  if (response.ok) return
  if (status === 401 || status === 403) throw accessDenied(status, url, name, hadToken)
  if (status === 416)
    throw new EngineError(
      'integrity',
      `${url} is shorter than the manifest says. The server holds another file.`,
      { file: name },
    )
  const code = status === 404 || status === 410 ? 'model_not_found' : 'network'
  const waitMs = retryAfterMs(headers.get('retry-after'), Date.now())
  const verdict = new EngineError(
    code,
    `${url} answered ${status}. Check the model's address and that ${name} is there.`,
    { file: name, ...(waitMs === undefined ? {} : { retryAfterMs: waitMs }) },
  )
  if (status === 408 || status === 425 || status === 429 || status >= 500)
    throw new TransientFailure(verdict, waitMs)
  throw verdict
}

function accessDenied(status: number, url: string, name: string, hadToken: boolean): EngineError {
  const advice = hadToken
    ? 'The token was not accepted for it: check that it may read the model, and that its owner has accepted the terms of the model.'
    : 'Reading it takes permission. Of a Hugging Face repository check the name, accept the terms on its page, and give a `token` that may read it.'
  return new EngineError('access_denied', `${url} answered ${status}. ${advice}`, { file: name })
}

function answerOf(
  { status, headers }: Response,
  url: string,
  range: HttpRequest['range'],
  body: Pick<HttpAnswer, 'pieces' | 'close'>,
): HttpAnswer {
  const isPart = status === 206
  // Other origins hide these headers unless they expose them; then the hash alone decides.
  const [, first, total] = /^bytes (\d+)-\d+\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? []
  const isCompressed = !['', 'identity'].includes(headers.get('content-encoding') ?? '')
  const length = headers.get('content-length')
  const claimedBytes = isCompressed || length === null ? undefined : Number(length)
  return {
    url,
    isWhole: !isPart,
    isCompressed,
    from: isPart ? Number(first ?? range?.[0] ?? 0) : 0,
    claimedBytes,
    totalBytes: total === undefined || total === '*' ? undefined : Number(total),
    validator: validatorOf((name) => headers.get(name)),
    header: (name) => headers.get(name),
    ...body,
  }
}

/** @param elsewhere what holds outside a browser, where there is no origin. */
function isOwnOrigin(url: string, elsewhere = true): boolean {
  return globalThis.location === undefined ? elsewhere : new URL(url).origin === location.origin
}

async function* bodyOf(
  response: Response,
  watchdog: Watchdog,
  url: string,
  name: string,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader()
  if (reader === undefined) return watchdog.stop()
  try {
    for (;;) {
      const { done, value } = await watchdog.guard(reader.read())
      if (done) return
      yield value
    }
  } catch (cause) {
    throw failureOf(cause, watchdog, url, name, true)
  } finally {
    watchdog.stop()
    // Harmless after the end; where the loop was left early it stops the download.
    void reader.cancel().catch(() => {})
  }
}

function failureOf(
  cause: unknown,
  watchdog: Watchdog,
  url: string,
  name: string,
  mayLeave: boolean,
): unknown {
  if (cause instanceof EngineError || cause instanceof TransientFailure) return cause
  if (watchdog.isStopped) return aborted(name, cause)
  const what = watchdog.hasBitten ? `sent nothing for ${watchdog.ms / 1000} s` : 'could not be fetched'
  const redirect = mayLeave ? '' : ' If it redirects to another origin: that is not among `allowedOrigins`.'
  const message = `${url} ${what}. Check the connection and try again.${redirect}`
  return new TransientFailure(new EngineError('network', message, { file: name, cause }))
}
