import type { EngineError } from '@tabserve/protocol'

/** One call, taken apart. */
export interface Call {
  /** What the path's groups matched, decoded. */
  readonly path: readonly string[]
  /** The JSON body; `undefined` where there is none. */
  readonly body: unknown
  /** What came behind the JSON, where a header says how long that is; else nothing. */
  readonly binary: Uint8Array<ArrayBuffer>
  readonly signal: AbortSignal
}

/** KServe's header for JSON with binary tensors behind it. */
export const JSON_LENGTH = 'inference-header-content-length'

export interface Route {
  readonly method: 'GET' | 'POST'
  /** Matches the whole path behind the family's prefix. */
  readonly path: RegExp
  /** Throws `EngineError`, which the family puts into its own words. */
  answer(call: Call): Promise<Response>
}

/** Routes of one protocol. */
export interface RouteFamily {
  /** First segment of its paths, wherever it stands in the address: the rest of the base is the caller's. */
  readonly prefix: string
  readonly routes: readonly Route[]
  fail(error: EngineError, status: number): Response
}

export function jsonResponse(
  value: unknown,
  status = 200,
  headers: Readonly<Record<string, string>> = {},
): Response {
  return new Response(JSON.stringify(value), {
    status,
    headers: { 'content-type': 'application/json', ...headers },
  })
}
