import type { Address, KernelExports } from '@tabserve/kernels'
import { EngineError } from '@tabserve/protocol'
import { startOwnWorker } from '../../own-worker.ts'

/** Name of the workers that are helper threads. They run the same file as the worker that they help. */
const THREAD_NAME = 'tabserve-thread'
const READY = 'ready'
/** A helper fetches and runs the worker's file: that may take a while, but not for ever. */
const START_MS = 20_000

/** What a helper needs to know. */
interface Call {
  readonly module: WebAssembly.Module
  readonly memory: WebAssembly.Memory
  readonly model: Address
  readonly batch: Address
  readonly thread: number
  readonly threads: number
}

/** Whether this worker was started as a helper thread: its entry file then does `serveAsThread()` and nothing else. */
export function isKernelThread(): boolean {
  return self.name === THREAD_NAME
}

/** Computes its share of every step until the team is dismissed. */
export function serveAsThread(): void {
  globalThis.onmessage = async ({ data }: MessageEvent<Call>) => {
    const { module, memory, model, batch, thread, threads } = data
    try {
      const instance = await WebAssembly.instantiate(module, { env: { memory } })
      const kernels = instance.exports as unknown as KernelExports
      postMessage(READY)
      kernels.serve(model, batch, thread, threads)
    } catch (error) {
      postMessage(String(error)) // before it was ready: the reason why it never will be
    }
    close()
  }
}

/** The helper threads of one model. */
export class KernelTeam {
  readonly #workers: readonly Worker[]

  private constructor(workers: readonly Worker[]) {
    this.#workers = workers
  }

  /** Starts `threads` − 1 helpers and waits until they listen. Rejects when one cannot be started. */
  static async create(call: Omit<Call, 'thread'>): Promise<KernelTeam> {
    const workers: Worker[] = []
    try {
      for (let thread = 1; thread < call.threads; thread++) workers.push(startOwnWorker(THREAD_NAME))
      await Promise.all(workers.map((worker, index) => handOver(worker, { ...call, thread: index + 1 })))
      return new KernelTeam(workers)
    } catch (error) {
      for (const worker of workers) worker.terminate()
      throw error
    }
  }

  /** To be called after the team was dismissed. */
  dispose(): void {
    for (const worker of this.#workers) worker.terminate()
  }
}

function handOver(worker: Worker, call: Call): Promise<void> {
  return new Promise((resolve, reject) => {
    const fail = (reason: string) => {
      const message = `A helper thread did not start: ${reason}. Create the client with threads: 1.`
      reject(new EngineError('backend_failed', message))
    }
    const timer = setTimeout(() => fail(`no answer in ${START_MS / 1000} seconds`), START_MS)
    worker.onmessage = ({ data }: MessageEvent<string>) => {
      clearTimeout(timer)
      if (data === READY) resolve()
      else fail(data)
    }
    worker.onerror = ({ message }) => fail(message)
    worker.postMessage(call)
  })
}
