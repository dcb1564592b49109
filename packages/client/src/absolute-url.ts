import { EngineError } from '@tabserve/protocol'

/** The worker has another base than the page. Throws `bad_request`. */
export function absoluteUrl(url: string): string {
  if (URL.canParse(url, location.href)) return new URL(url, location.href).href
  throw new EngineError('bad_request', `${JSON.stringify(url)} is not an address.`)
}
