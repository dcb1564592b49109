import type { GenerateRequest } from '@tabserve/protocol'

/** The request with what is left of its deadlines after it has waited. */
export function withoutWait(request: GenerateRequest, waitedMs: number): GenerateRequest {
  const left = (ms: number | undefined) =>
    typeof ms === 'number' && ms > 0 ? Math.max(1, ms - waitedMs) : ms
  const { queueTimeoutMs, timeoutMs } = request
  return {
    ...request,
    ...(queueTimeoutMs === undefined ? {} : { queueTimeoutMs: left(queueTimeoutMs) as number }),
    ...(timeoutMs === undefined ? {} : { timeoutMs: left(timeoutMs) as number }),
  }
}
