/** The lock of whoever leads. The browser gives it to the next in the queue when its holder closes, crashes or lets go. */
export class LeaderLock {
  readonly #name: string
  readonly #onLead: () => void
  readonly #onLost: () => void
  #queued = new AbortController()
  #letGo: (() => void) | undefined

  /** @param onLost called when another tab took the lock away, because this one did not answer. */
  constructor(name: string, onLead: () => void, onLost: () => void) {
    this.#name = name
    this.#onLead = onLead
    this.#onLost = onLost
  }

  /** Takes the lock if it is free. Says whether it was. */
  tryNow(): Promise<boolean> {
    return new Promise((resolve) => {
      void this.#request({ ifAvailable: true }, resolve)
    })
  }

  /** Takes the lock when its turn comes. */
  queue(): void {
    this.#queued = new AbortController()
    void this.#request({ signal: this.#queued.signal })
  }

  /** Takes the lock from whoever holds it. */
  steal(): void {
    this.#queued.abort()
    void this.#request({ steal: true })
  }

  release(): void {
    this.#queued.abort()
    this.#letGo?.()
    this.#letGo = undefined
  }

  /** Never rejects. */
  async #request(options: LockOptions, onAnswer: (isHeld: boolean) => void = () => {}): Promise<void> {
    try {
      await navigator.locks.request(this.#name, options, (lock) => {
        onAnswer(lock !== null)
        return lock === null ? undefined : this.#hold()
      })
    } catch {
      // Not queued any more, or the lock was stolen.
      const wasHeld = this.#letGo !== undefined
      this.#letGo = undefined
      if (wasHeld && options.signal?.aborted !== true) this.#onLost()
    }
  }

  #hold(): Promise<void> {
    const held = new Promise<void>((resolve) => (this.#letGo = resolve))
    this.#onLead()
    return held
  }
}
