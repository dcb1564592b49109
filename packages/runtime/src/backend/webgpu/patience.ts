const TICK_MS = 1000

export interface Ticks {
  /** Calls `tick` every so many milliseconds. Returns how to stop. */
  every(ms: number, tick: () => void): () => void
}

export const systemTicks: Ticks = {
  every(ms, tick) {
    const timer = setInterval(tick, ms)
    return () => clearInterval(timer)
  },
}

/**
 * Notices that somebody who owes answers is silent for too long. Time is counted in ticks: a machine that slept wakes to one tick, and finds no fault with
 * anybody.
 */
export class Patience {
  readonly #limit: number
  readonly #ticks: Ticks
  readonly #onSilence: () => void
  #numTicks = 0
  #stop: (() => void) | undefined

  /** @param limitMs how long the silence may be. */
  constructor(limitMs: number, onSilence: () => void, ticks: Ticks = systemTicks) {
    this.#limit = Math.ceil(limitMs / TICK_MS)
    this.#onSilence = onSilence
    this.#ticks = ticks
  }

  /** Something was heard, or is awaited from now on. @param isAwaited whether anything still is. */
  heard(isAwaited: boolean): void {
    this.#numTicks = 0
    if (!isAwaited) return this.end()
    this.#stop ??= this.#ticks.every(TICK_MS, () => {
      if (++this.#numTicks >= this.#limit) this.#onSilence()
    })
  }

  end(): void {
    this.#stop?.()
    this.#stop = undefined
  }
}
