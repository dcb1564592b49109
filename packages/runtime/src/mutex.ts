/** Runs jobs one after another. A job that fails fails alone: the next one waits for it, not for its luck. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve()

  run<T>(job: () => Promise<T> | T): Promise<T> {
    const result = this.#tail.then(job)
    this.#tail = result.catch(() => {})
    return result
  }
}
