import { EngineError, toWireError } from '@tabserve/protocol'
import type { Call, Route, RouteFamily } from './route.ts'
import { JSON_LENGTH, jsonResponse } from './route.ts'
import { statusOf } from './status.ts'

/** `fetch`, answered in the page: nothing goes over the network. Rejects as `fetch` does, when the signal fires; all else is a response. */
export type LocalFetch = (input: RequestInfo | URL, init?: RequestInit) => Promise<Response>

export function serveRoutes(families: readonly RouteFamily[]): LocalFetch {
  return async (input, init) => {
    const request = new Request(input, init)
    request.signal.throwIfAborted()
    const found = familyOf(families, new URL(request.url).pathname)
    if (found === undefined) {
      const message = `${request.url}: tabserve answers ${families.map(({ prefix }) => `${prefix}/…`).join(' and ')} only.`
      return jsonResponse({ error: { message, type: 'invalid_request_error', param: null, code: null } }, 404)
    }
    return untilAborted(answer(found.family, found.path, request), request.signal)
  }
}

async function answer(family: RouteFamily, path: string, request: Request): Promise<Response> {
  const fits = family.routes.filter((route) => route.path.test(path))
  const route = fits.find(({ method }) => method === request.method)
  if (route === undefined) return refuse(family, path, request.method, fits)
  try {
    const { body, binary } = await bodyOf(request)
    return await route.answer({ path: groupsOf(route, path), body, binary, signal: request.signal })
  } catch (error) {
    const known = EngineError.fromWire(toWireError(error, 'backend_failed'))
    return family.fail(known, statusOf(known.code))
  }
}

function refuse(family: RouteFamily, path: string, method: string, fits: readonly Route[]): Response {
  const where = family.prefix + path
  if (fits.length === 0) return family.fail(new EngineError('bad_request', `tabserve has no ${where}.`), 404)
  const allowed = fits.map(({ method }) => method).join(', ')
  const response = family.fail(
    new EngineError('bad_request', `${where} takes ${allowed}, not ${method}.`),
    405,
  )
  response.headers.set('allow', allowed)
  return response
}

function familyOf(
  families: readonly RouteFamily[],
  pathname: string,
): { family: RouteFamily; path: string } | undefined {
  const segments = pathname.replace(/\/+$/, '').split('/')
  for (const [index, segment] of segments.entries()) {
    const family = families.find(({ prefix }) => prefix === `/${segment}`)
    if (family !== undefined)
      return {
        family,
        path: segments
          .slice(index + 1)
          .map((each) => `/${each}`)
          .join(''),
      }
  }
  return undefined
}

function groupsOf(route: Route, path: string): string[] {
  const groups = route.path.exec(path)?.slice(1) ?? []
  try {
    // Groups that did not take part are undefined, whatever the types say.
    return groups.filter((group: string | undefined) => group !== undefined).map(decodeURIComponent)
  } catch (cause) {
    throw new EngineError('bad_request', `${path} is not a valid path.`, { cause })
  }
}

async function bodyOf(request: Request): Promise<Pick<Call, 'body' | 'binary'>> {
  const bytes = new Uint8Array(await request.arrayBuffer())
  const said = request.headers.get(JSON_LENGTH)
  const length = said === null ? bytes.length : Number(said)
  if (!Number.isInteger(length) || length < 0 || length > bytes.length)
    throw new EngineError('bad_request', `${JSON_LENGTH} ${said} is not a length within the body.`)
  const text = new TextDecoder().decode(bytes.subarray(0, length))
  const binary = bytes.slice(length)
  if (text.trim() === '') return { body: undefined, binary }
  try {
    return { body: JSON.parse(text) as unknown, binary }
  } catch (cause) {
    throw new EngineError('bad_request', 'The body is not valid JSON.', { cause })
  }
}

/** At once, whatever the work still waits for. */
async function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  let fire = () => {}
  const aborted = new Promise<never>((_, reject) => {
    fire = () => reject(signal.reason)
    signal.addEventListener('abort', fire)
  })
  try {
    return await Promise.race([work, aborted])
  } finally {
    signal.removeEventListener('abort', fire)
  }
}
