import { InferenceSession, Tensor, env } from 'onnxruntime-web/webgpu'
import { Mutex } from '../../mutex.ts'

export { InferenceSession, Tensor }

/**
 * The door to onnxruntime-web with its native WebGPU provider. Two calls at once wedge the worker that they run in for good: there is one
 * instance in a worker, and every call, our own commands on its device included, goes through this one mutex.
 */
export class GpuOrt {
  readonly #mutex = new Mutex()

  constructor(assets: { readonly mjs: string; readonly wasm: string }) {
    env.wasm.wasmPaths = { ...assets }
    env.wasm.numThreads = 1
    env.logLevel = 'error'
  }

  call<T>(job: () => Promise<T>): Promise<T> {
    return this.#mutex.run(job)
  }

  /** The device that onnxruntime has made for its first session. */
  async device(): Promise<GPUDevice> {
    return (await env.webgpu.device) as unknown as GPUDevice // typed as `any` or not at all, by what types are about
  }
}
