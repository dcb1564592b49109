import type { ClientOptions } from '@tabserve/client'

/**
 * Where the files lie that workers fetch. Literals, because bundlers look for them: Vite, webpack and their like copy each file and put its new
 * address here; others leave them alone, and then the package's `assets/` has to lie beside the bundle.
 */
export const assets: ClientOptions['assets'] = {
  mjs: new URL('./assets/ort-wasm-simd-threaded.mjs', import.meta.url).href,
  wasm: new URL('./assets/ort-wasm-simd-threaded.wasm', import.meta.url).href,
  webgpu: {
    jspi: {
      mjs: new URL('./assets/ort-wasm-simd-threaded.jspi.mjs', import.meta.url).href,
      wasm: new URL('./assets/ort-wasm-simd-threaded.jspi.wasm', import.meta.url).href,
    },
    asyncify: {
      mjs: new URL('./assets/ort-wasm-simd-threaded.asyncify.mjs', import.meta.url).href,
      wasm: new URL('./assets/ort-wasm-simd-threaded.asyncify.wasm', import.meta.url).href,
    },
  },
  kernels: {
    plain: new URL('./assets/kernels-plain.wasm', import.meta.url).href,
    relaxed: new URL('./assets/kernels-relaxed.wasm', import.meta.url).href,
    'plain-threads': new URL('./assets/kernels-plain-threads.wasm', import.meta.url).href,
    'relaxed-threads': new URL('./assets/kernels-relaxed-threads.wasm', import.meta.url).href,
  },
  grammar: new URL('./assets/xgrammar.js', import.meta.url).href,
  converter: new URL('./assets/tabserve.convert.js', import.meta.url).href,
  transformers: new URL('./assets/tabserve.transformers.js', import.meta.url).href,
}

/** A file like the others: bundlers that made it a part of theirs would have to be told how. */
export const workerScript = new URL('./assets/tabserve.worker.js', import.meta.url).href
