import { EngineError } from '@tabserve/protocol'
import type { Http, HttpAnswer } from '../http.ts'
import type { RetryPolicy } from '../retry.ts'
import { readWhole } from '../small-file.ts'

/** One model's requests to a hub that are not for weights: with its token, its signal and its retries. */
export class HubClient {
  readonly #http: Http
  readonly #policy: RetryPolicy
  readonly #token: string | undefined
  readonly #signal: AbortSignal

  constructor(http: Http, policy: RetryPolicy, token: string | undefined, signal: AbortSignal) {
    this.#http = http
    this.#policy = policy
    this.#token = token
    this.#signal = signal
  }

  /** A small file; `undefined` where it is not there, or a web page is in its place. */
  async read(url: string, name: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    return (await this.#ask(url, name, 'GET'))?.bytes
  }

  /** What an API answers, read as JSON; `undefined` where there is none. */
  async readJson(url: string): Promise<{ readonly value: unknown; readonly answer: HttpAnswer } | undefined> {
    const found = await this.#ask(url, new URL(url).pathname, 'GET')
    if (found === undefined) return undefined
    try {
      return { value: JSON.parse(new TextDecoder().decode(found.bytes)) as unknown, answer: found.answer }
    } catch {
      return undefined // a server that answers everything with something: it has no API
    }
  }

  /** Size and validator of a file. `undefined`: it is not there. Throws `network` where the server does not tell sizes. */
  async head(url: string, name: string): Promise<{ bytes: number; validator?: string } | undefined> {
    const found = await this.#ask(url, name, 'HEAD')
    if (found === undefined) return undefined
    const validator = found.answer.header('etag') ?? found.answer.header('last-modified')
    const bytes = found.answer.claimedBytes ?? (await this.#sizeByRange(url, name))
    return { bytes, ...(validator === null ? {} : { validator }) }
  }

  /** For servers that say no size of what they compress, or to `HEAD`. */
  async #sizeByRange(url: string, name: string): Promise<number> {
    const request = {
      name,
      range: [0, 0],
      signal: this.#signal,
      cache: 'no-cache',
      token: this.#token,
    } as const
    const answer = await this.#http.get(url, request)
    answer.close()
    if (answer.totalBytes !== undefined) return answer.totalBytes
    throw new EngineError('network', `${url}: the server does not say how large it is. Use another mirror.`, {
      file: name,
    })
  }

  async #ask(url: string, name: string, method: 'GET' | 'HEAD') {
    const request = { name, method, signal: this.#signal, cache: 'no-cache', token: this.#token } as const
    try {
      const found = await readWhole(this.#http, url, { ...request, allowsPages: true }, this.#policy)
      found.answer.close()
      return isPage(found.answer) ? undefined : found
    } catch (error) {
      if (error instanceof EngineError && error.code === 'model_not_found') return undefined
      throw error
    }
  }
}

/** Static hosts answer what they do not have with their front page. */
function isPage(answer: HttpAnswer): boolean {
  return /^text\/html\b/i.test(answer.header('content-type') ?? '')
}
