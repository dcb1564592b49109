import { EngineError } from '@tabserve/protocol'

/** How often and how long failed requests are tried again. */
export interface RetryPolicy {
  /** Failures in a row, without a chunk's worth of progress in between, after which a download gives up. */
  readonly retries: number
  /** The first wait; it doubles with every failure. */
  readonly baseMs: number
  /** The longest wait, also of what a server asks for with `Retry-After`. */
  readonly maxMs: number
}

export const RETRY_POLICY: RetryPolicy = { retries: 4, baseMs: 300, maxMs: 60_000 }

/** A failure that may not happen again. `verdict` is what it becomes when it does. */
export class TransientFailure extends Error {
  readonly verdict: EngineError
  /** That the server asks us to wait. */
  readonly retryAfterMs: number | undefined

  constructor(verdict: EngineError, retryAfterMs?: number) {
    super(verdict.message, { cause: verdict })
    this.name = 'TransientFailure'
    this.verdict = verdict
    this.retryAfterMs = retryAfterMs
  }
}

/** Counts the failures of one download and waits between them. */
export class Retries {
  readonly #policy: RetryPolicy
  readonly #signal: AbortSignal
  readonly #onRetry: (failure: TransientFailure, waitMs: number) => void
  #failures = 0

  constructor(
    policy: RetryPolicy,
    signal: AbortSignal,
    onRetry: (failure: TransientFailure, waitMs: number) => void,
  ) {
    this.#policy = policy
    this.#signal = signal
    this.#onRetry = onRetry
  }

  /** Something arrived: earlier failures do not count any more. */
  progress(): void {
    this.#failures = 0
  }

  /** Waits until the next try. Throws what the failure becomes when there is none; errors that are not transient at once. */
  async wait(error: unknown): Promise<void> {
    if (!(error instanceof TransientFailure)) throw error
    this.#failures++
    const waitMs = Math.max(backoffMs(this.#policy, this.#failures, Math.random()), error.retryAfterMs ?? 0)
    if (this.#failures > this.#policy.retries || waitMs > this.#policy.maxMs) throw error.verdict
    this.#onRetry(error, waitMs)
    await sleep(waitMs, this.#signal)
  }
}

/** Doubles with every failure; between half of it and all of it, so that clients that failed together do not come back together. */
export function backoffMs({ baseMs, maxMs }: RetryPolicy, failures: number, random: number): number {
  return Math.min(maxMs, baseMs * 2 ** (failures - 1)) * (0.5 + random / 2)
}

/** Milliseconds that a `Retry-After` header asks for: seconds, or a date. `undefined` for neither. */
export function retryAfterMs(header: string | null, now: number): number | undefined {
  if (header === null) return undefined
  if (/^\d+$/.test(header.trim())) return 1000 * Number(header)
  const date = Date.parse(header)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer)
      reject(aborted())
    }
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', stop)
      resolve()
    }, ms)
    if (signal.aborted) stop()
    else signal.addEventListener('abort', stop, { once: true })
  })
}

/** What a fired signal becomes. */
export function aborted(file?: string, cause?: unknown): EngineError {
  return new EngineError('aborted', 'The download was stopped. What had arrived is kept for the next try.', {
    ...(file === undefined ? {} : { file }),
    cause,
  })
}
