import type { Answer } from './api.ts'
import type { ErrorCode } from './error.ts'
import { EngineError, toWireError } from './error.ts'

/** What work gives, or how it failed, as data: the form in which results cross to another thread or tab. */
export async function answer<T>(fallback: ErrorCode, work: () => Promise<T> | T): Promise<Answer<T>> {
  try {
    return { ok: true, value: await work() }
  } catch (error) {
    return { ok: false, error: toWireError(error, fallback) }
  }
}

/** The value, or the failure as an error again. */
export function unpack<T>(answer: Answer<T>): T {
  if (answer.ok) return answer.value
  throw EngineError.fromWire(answer.error)
}
