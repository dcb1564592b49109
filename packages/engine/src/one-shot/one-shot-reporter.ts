import { timeMs } from '@tabserve/protocol'
import type { Observer } from '../observer.ts'

/** Puts what a model that is asked once a request does into events, for an observer that listens. */
export class OneShotReporter {
  readonly #observer: Observer
  #iteration = 0

  constructor(observer: Observer) {
    this.#observer = observer
  }

  /** @param id `undefined`: a request that came from within the worker; nobody is told of it. */
  queued(id: string | undefined, priority: number): void {
    if (id === undefined || !this.#observer.isOn || !this.#observer.isSampled(id)) return
    this.#observer.tell({ type: 'infer-queued', id, ...this.#ofModel(), priority })
  }

  /** A run of a graph is over. */
  ran(run: {
    readonly rows: number
    readonly requests: number
    readonly ms: number
    readonly waiting: number
  }): void {
    const iteration = ++this.#iteration
    if (this.#observer.isOn)
      this.#observer.tell({ type: 'infer-batch', ...this.#ofModel(), iteration, ...run })
  }

  #ofModel(): { timeMs: number; worker: string; model: string } {
    const { worker, model } = this.#observer
    return { timeMs: timeMs(), worker, model }
  }
}
