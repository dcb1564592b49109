/** Time as the control plane sees it; tests turn it by hand. */
export interface Clock {
  /** Milliseconds that never go back. */
  now(): number
  /** Calls `run` once after `delayMs`. Returns how to take that back. */
  after(delayMs: number, run: () => void): () => void
}

/** Hidden tabs wake timers once a second, or once a minute: nothing here needs them to be on time. */
export const systemClock: Clock = {
  now: () => performance.now(),
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs)
    return () => clearTimeout(timer)
  },
}
