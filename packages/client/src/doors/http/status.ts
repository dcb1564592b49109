import type { EngineError, ErrorCode } from '@tabserve/protocol'

const STATUS: Readonly<Record<ErrorCode, number>> = {
  bad_request: 400,
  unsupported_parameter: 400,
  context_overflow: 400,
  model_not_found: 404,
  model_not_loaded: 404,
  model_asleep: 503,
  session_not_found: 404,
  session_mismatch: 409,
  access_denied: 403,
  not_allowed: 403,
  memory: 507,
  bad_model: 500,
  integrity: 500,
  network: 502,
  storage: 507,
  queue_full: 429,
  timeout: 504,
  backend_failed: 500,
  engine_lost: 500,
  device_lost: 500,
  aborted: 499,
}

export function statusOf(code: ErrorCode): number {
  return STATUS[code]
}

/** When to try again, for a full queue; and that it is of no use after a deadline that the caller set. */
export function retryHeaders({ code, retryAfterMs }: EngineError): Record<string, string> {
  if (code === 'timeout') return { 'x-should-retry': 'false' }
  if (retryAfterMs === undefined) return {}
  return {
    'retry-after': String(Math.ceil(retryAfterMs / 1000)),
    'retry-after-ms': String(Math.ceil(retryAfterMs)),
  }
}
