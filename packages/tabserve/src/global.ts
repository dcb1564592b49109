import type { ClientOptions } from '@tabserve/client'
import { Client } from '@tabserve/client'

export { EngineError } from '@tabserve/client'

const script = document.currentScript
const base = script instanceof HTMLScriptElement && script.src !== '' ? script.src : document.baseURI

/** As in the npm package; worker and wasm are looked for beside the script. */
export function createClient(options: Partial<ClientOptions> = {}): Promise<Client> {
  return Client.create({
    worker: () => new Worker(new URL('tabserve.worker.js', base), { type: 'module', name: 'tabserve' }),
    assets: {
      mjs: new URL('ort-wasm-simd-threaded.mjs', base).href,
      wasm: new URL('ort-wasm-simd-threaded.wasm', base).href,
    },
    ...options,
  })
}
