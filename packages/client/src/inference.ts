import type { OneShotRequest, OneShotTiming, RequestEvent, Tensors, ServedBy } from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import type { Listener } from './control/dispatcher.ts'

/** How a one-shot request was answered. */
export interface OneShotReport {
  readonly timing: OneShotTiming
  /** Rows that were computed together, its own included; 0 from the cache. */
  readonly batchSize: number
  readonly isCached: boolean
  /** Which version has answered. */
  readonly servedBy: ServedBy
}

export interface InferResult extends OneShotReport {
  readonly outputs: Tensors
}

export interface RunResult<Output> extends OneShotReport {
  readonly output: Output
}

/** The result of a one-shot request. Rejects with what it failed with; with `aborted` when the signal fired. @param submit sends it and returns how to cancel. */
export function inferenceOf(
  signal: AbortSignal | undefined,
  submit: (listener: Listener) => () => void,
): Promise<Extract<RequestEvent, { type: 'result' }> & { readonly servedBy: ServedBy }> {
  return new Promise((resolve, reject) => {
    let server: ServedBy | undefined
    let cancel = () => {}
    const onAbort = () => cancel()
    const take = (event: RequestEvent) => {
      signal?.removeEventListener('abort', onAbort)
      if (event.type === 'error') return reject(EngineError.fromWire(event.error))
      if (event.type !== 'result' || server === undefined)
        throw new Error(`a one-shot request was answered with ${event.type}`)
      resolve({ ...event, servedBy: server })
    }
    signal?.addEventListener('abort', onAbort)
    try {
      cancel = submit({ servedBy: (by) => (server = by), take })
    } catch (error) {
      take({ type: 'error', error: toWireError(error, 'bad_request') })
    }
    if (signal?.aborted === true) cancel()
  })
}

/** A request as the caller writes it. `model` may be an alias, too. */
export type OneShotOptions<Asked extends OneShotRequest> = Omit<Asked, 'task'> & {
  readonly signal?: AbortSignal
  /** An alias sends requests of one key to one version. Default: each is drawn anew. Never leaves the page. */
  readonly stickyKey?: string
}
