import type { Request } from '@tabserve/protocol'

/** The request with what is left of its deadlines after it has waited. */
export function withoutWait<Asked extends Request>(request: Asked, waitedMs: number): Asked {
  const left = (ms: number | undefined) =>
    typeof ms === 'number' && ms > 0 ? Math.max(1, ms - waitedMs) : ms
  const { queueTimeoutMs, timeoutMs }: Deadlines = request
  return {
    ...request,
    ...(queueTimeoutMs === undefined ? {} : { queueTimeoutMs: left(queueTimeoutMs) as number }),
    ...(timeoutMs === undefined ? {} : { timeoutMs: left(timeoutMs) as number }),
  }
}

type Deadlines = { readonly queueTimeoutMs?: number; readonly timeoutMs?: number }
