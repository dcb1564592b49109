import type { HubSourceRequest } from '@tabserve/protocol'
import { EngineError, HUGGING_FACE, checkedHub, isHubAddress, parseHubAddress } from '@tabserve/protocol'
import { absoluteUrl } from './absolute-url.ts'

/** Where repositories come from when a request does not say. */
export interface HubOptions {
  /** Address that repositories lie under, relative to the page or absolute. Default `https://huggingface.co/`. */
  readonly baseUrl?: string
  /** Sent with requests to this `baseUrl` and to no other; kept in memory only. */
  readonly token?: string
}

/** A model in the weight store: the address of its folder or of its repository, or the repository itself. */
export type ModelAddress = string | HubSourceRequest

/** Completes what callers say of a repository. Throws `bad_request`; a token is in none of its messages. */
export class HubRequests {
  readonly #baseUrl: string
  readonly #token: string | undefined

  constructor({ baseUrl = HUGGING_FACE, token, ...unknown }: HubOptions = {}) {
    refuseUnknown(unknown, 'hub')
    this.#baseUrl = folderUrl(baseUrl)
    this.#token = checkedToken(token)
  }

  /** What the worker is asked for. */
  requestOf(model: ModelAddress): { readonly url: string } | HubSourceRequest {
    if (typeof model !== 'string') {
      const { hub, revision, dtype, baseUrl, token, ...unknown } = model
      refuseUnknown(unknown, 'a hub source')
      const base = baseUrl === undefined ? this.#baseUrl : folderUrl(baseUrl)
      const named = {
        hub,
        baseUrl: base,
        ...(revision === undefined ? {} : { revision }),
        ...(dtype === undefined ? {} : { dtype }),
      }
      return this.#withToken(checkedHub(named), checkedToken(token))
    }
    return isHubAddress(model) ? this.#withToken(parseHubAddress(model)) : { url: absoluteUrl(model) }
  }

  #withToken(model: ReturnType<typeof checkedHub>, token?: string): HubSourceRequest {
    const own = model.baseUrl === this.#baseUrl ? this.#token : undefined
    const sent = token ?? own
    return sent === undefined ? model : { ...model, token: sent }
  }
}

function folderUrl(baseUrl: string): string {
  const url = absoluteUrl(baseUrl)
  return url.endsWith('/') ? url : `${url}/`
}

/** What cannot be part of a header would end in an error that repeats it. */
function checkedToken(token: unknown): string | undefined {
  if (token === undefined || (typeof token === 'string' && /^[\x21-\x7e]+$/.test(token))) return token
  throw new EngineError('bad_request', 'hub.token must be letters, digits and signs, without spaces.')
}

function refuseUnknown(unknown: object, where: string): void {
  const [name] = Object.keys(unknown)
  if (name !== undefined) throw new EngineError('bad_request', `${where} has no option ${name}.`)
}
