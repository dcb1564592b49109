import type { GenerateRequest } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Changes } from './changes.ts'

/** Those who wait until a replica is ready. */
export class ReplicaQueue {
  readonly #changes: Changes
  #length = 0

  constructor(changes: Changes) {
    this.#changes = changes
  }

  get length(): number {
    return this.#length
  }

  /**
   * Waits until `find`, asked now and at every change, gives something. Throws what it throws, `aborted` when the signal fires, and `timeout` when
   * a deadline of the request passes before.
   */
  async wait<Found>(
    {
      queueTimeoutMs = Infinity,
      timeoutMs = Infinity,
    }: Pick<GenerateRequest, 'queueTimeoutMs' | 'timeoutMs'>,
    signal: AbortSignal,
    find: () => Found | undefined,
  ): Promise<Found> {
    this.#length++
    const waitMs = Math.min(queueTimeoutMs, timeoutMs)
    let isLate = false
    const wake = () => this.#changes.tell()
    const timer = Number.isFinite(waitMs) ? setTimeout(() => ((isLate = true), wake()), waitMs) : undefined
    signal.addEventListener('abort', wake)
    let found: Found | undefined
    try {
      await this.#changes.until(() => {
        if (signal.aborted)
          throw new EngineError('aborted', 'The request was cancelled while it waited for a worker.')
        if (isLate) throw new EngineError('timeout', 'The deadline passed before a worker was ready.')
        found = find()
        return found !== undefined
      })
    } finally {
      this.#length--
      clearTimeout(timer)
      signal.removeEventListener('abort', wake)
    }
    if (found === undefined) throw new Error('waited for a replica, and there is none')
    return found
  }
}
