/** Ends a request when the caller does, or when nothing has come for a while. The time in which nobody waits does not count. */
export class Watchdog {
  readonly ms: number
  readonly #outer: AbortSignal
  readonly #abort = new AbortController()
  readonly #follow = () => this.#abort.abort(this.#outer.reason)
  #hasBitten = false

  constructor(signal: AbortSignal, ms: number) {
    this.ms = ms
    this.#outer = signal
    if (signal.aborted) this.#follow()
    else signal.addEventListener('abort', this.#follow, { once: true })
  }

  /** For the request. */
  get signal(): AbortSignal {
    return this.#abort.signal
  }

  /** Whether the caller has stopped. */
  get isStopped(): boolean {
    return this.#outer.aborted
  }

  /** Whether nothing has come for too long. */
  get hasBitten(): boolean {
    return this.#hasBitten
  }

  /** Waits for the next bytes. */
  async guard<T>(next: Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      this.#hasBitten = true
      this.#abort.abort()
    }, this.ms)
    try {
      return await next
    } finally {
      clearTimeout(timer)
    }
  }

  /** The request is over, or is given up. */
  stop(): void {
    this.#outer.removeEventListener('abort', this.#follow)
    this.#abort.abort()
  }
}
