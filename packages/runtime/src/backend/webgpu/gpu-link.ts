import { EngineError } from '@tabserve/protocol'
import { startOwnWorker } from '../../own-worker.ts'
import type { GpuAnswer, GpuCall } from './gpu-messages.ts'
import { GPU_WORKER_NAME } from './gpu-worker.ts'
import { Patience } from './patience.ts'

/** Compiling shaders on a slow adapter takes ten seconds; a worker that is wedged never answers. */
const ANSWER_MS = 120_000

type Settled = Exclude<GpuAnswer, { type: 'failed' | 'lost' }>

/** A GPU worker: asked one thing after another, and known to be lost when it is. */
export class GpuLink {
  readonly #worker: Worker
  /** Who waits for an answer, in the order in which they asked. */
  readonly #waiting: { resolve(answer: Settled): void; reject(error: Error): void }[] = []
  readonly #patience = new Patience(ANSWER_MS, () =>
    this.#lose(`nothing was heard of it for ${ANSWER_MS / 1000} seconds`),
  )
  #lost: EngineError | undefined
  #hasLoaded = false

  static async start(): Promise<GpuLink> {
    return new GpuLink(startOwnWorker(GPU_WORKER_NAME))
  }

  private constructor(worker: Worker) {
    this.#worker = worker
    worker.onmessage = ({ data }: MessageEvent<GpuAnswer>) => this.#take(data)
    worker.onerror = ({ message }) => this.#lose(message || 'its worker could not be started')
  }

  /** Whether an answer is awaited. */
  get isAwaited(): boolean {
    return this.#waiting.length > 0
  }

  /** Rejects with `device_lost` when the device goes, or has gone; with what the worker says when the call fails. */
  ask(call: GpuCall): Promise<Settled> {
    if (this.#lost !== undefined) return Promise.reject(this.#lost)
    return new Promise((resolve, reject) => {
      if (this.#waiting.push({ resolve, reject }) === 1) this.#patience.heard(true)
      this.#worker.postMessage(call)
    })
  }

  /** For what has no answer. */
  tell(call: GpuCall): void {
    if (this.#lost !== undefined) throw this.#lost
    this.#worker.postMessage(call)
  }

  terminate(): void {
    this.#lose('it was let go')
  }

  #take(answer: GpuAnswer): void {
    if (answer.type === 'lost') return this.#lose(answer.reason)
    const first = this.#waiting.shift()
    if (first === undefined) return
    this.#patience.heard(this.isAwaited)
    if (answer.type === 'loaded') this.#hasLoaded = true
    if (answer.type !== 'failed') return first.resolve(answer)
    const failure = answer.isOutOfMemory ? outOfMemory(answer.message) : new Error(answer.message)
    // Rows may lie anywhere now. A smaller cache may do, and everybody is read again into it.
    if (answer.isOutOfMemory && this.#hasLoaded) this.#lose('it ran out of memory', failure)
    first.reject(this.#lost ?? failure)
  }

  #lose(reason: string, cause?: unknown): void {
    if (this.#lost !== undefined) return
    this.#lost = new EngineError('device_lost', `The GPU device is gone: ${reason}.`, { cause })
    this.#worker.terminate()
    this.#patience.end()
    for (const { reject } of this.#waiting.splice(0)) reject(this.#lost)
  }
}

function outOfMemory(reason: string): EngineError {
  const advice = "Lower contextLength, maxRunning or kvBudgetBytes, or load it with device: 'wasm'."
  return new EngineError('memory', `The GPU has no room for the model: ${reason}. ${advice}`)
}
