/** Deaths in a row after which a worker is not started again. */
const MOST_DEATHS = 6

/** When a worker that died is started again: at once, then after 1, 1, 2, 3 seconds (Fibonacci's, as TorchServe's), then not any more. */
export class RestartPolicy {
  #numDeaths = 0
  #delay = 0
  #nextDelay = 1

  /** Milliseconds to wait before the next start; `undefined`: give up. */
  died(): number | undefined {
    if (++this.#numDeaths >= MOST_DEATHS) return undefined
    const delay = this.#delay
    this.#delay = this.#nextDelay
    this.#nextDelay += delay
    return delay * 1000
  }

  /** The worker did what it is for: what was before does not count any more. */
  succeeded(): void {
    this.#numDeaths = 0
    this.#delay = 0
    this.#nextDelay = 1
  }
}
