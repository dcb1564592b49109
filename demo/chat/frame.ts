/** Does a job at most once a frame, however often it is asked for: what streams in between is painted together. */
export class Frame {
  readonly #job: () => void
  #pending = 0

  constructor(job: () => void) {
    this.#job = job
  }

  request(): void {
    if (this.#pending !== 0) return
    this.#pending = requestAnimationFrame(() => {
      this.#pending = 0
      this.#job()
    })
  }

  /** Does a waiting job at once: hidden tabs have no frames, and the end must be on the page when it is announced. */
  flush(): void {
    if (this.#pending === 0) return
    cancelAnimationFrame(this.#pending)
    this.#pending = 0
    this.#job()
  }
}
