import type { ClientOptions } from '@tabserve/client'
import { Client } from '@tabserve/client'
import { workerAt } from './worker-at.ts'

export { EngineError, connect, isolatePage } from '@tabserve/client'

const script = document.currentScript
const base = script instanceof HTMLScriptElement && script.src !== '' ? script.src : document.baseURI

const beside = (file: string) => new URL(file, base).href

/** As in the npm package; worker and wasm are looked for beside the script, also where that is on another origin. */
export function createClient(options: Partial<ClientOptions> = {}): Promise<Client> {
  return Client.create({
    worker: workerAt(beside('tabserve.worker.js')),
    broker: (name) => new SharedWorker(beside('tabserve.broker.js'), { type: 'module', name }),
    assets: {
      mjs: beside('ort-wasm-simd-threaded.mjs'),
      wasm: beside('ort-wasm-simd-threaded.wasm'),
      webgpu: {
        jspi: {
          mjs: beside('ort-wasm-simd-threaded.jspi.mjs'),
          wasm: beside('ort-wasm-simd-threaded.jspi.wasm'),
        },
        asyncify: {
          mjs: beside('ort-wasm-simd-threaded.asyncify.mjs'),
          wasm: beside('ort-wasm-simd-threaded.asyncify.wasm'),
        },
      },
      grammar: beside('xgrammar.js'),
      converter: beside('tabserve.convert.js'),
      transformers: beside('tabserve.transformers.js'),
      kernels: {
        plain: beside('kernels-plain.wasm'),
        relaxed: beside('kernels-relaxed.wasm'),
        'plain-threads': beside('kernels-plain-threads.wasm'),
        'relaxed-threads': beside('kernels-relaxed-threads.wasm'),
      },
    },
    ...options,
  })
}
