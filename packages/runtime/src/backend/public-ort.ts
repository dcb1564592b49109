import { InferenceSession, Tensor, env } from 'onnxruntime-web/webgpu'
import { Mutex } from '../mutex.ts'

export { InferenceSession, Tensor }

/**
 * The door to onnxruntime-web's public API. There is one instance in a worker, and a session released while another call
 * runs wedges it for good, so every call of every model goes through this one mutex.
 */
export class PublicOrt {
  readonly #mutex = new Mutex()

  constructor(assets: { mjs: string; wasm: string }, threads: number) {
    env.wasm.wasmPaths = assets
    env.wasm.numThreads = threads
    env.logLevel = 'error'
  }

  call<T>(job: () => Promise<T>): Promise<T> {
    return this.#mutex.run(job)
  }
}
