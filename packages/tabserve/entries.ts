/** A door: what a bundler finds when an app imports `tabserve/NAME` (`index`: `tabserve` itself). Doors share their chunks. */
export const DOORS = [
  'index',
  'worker',
  'ai-sdk',
  'opentelemetry',
  'prompt-api',
  'prometheus',
  'service-worker',
] as const

/** A file of `src/` that is fetched by its address, never bundled: so it is complete in itself. */
export interface FetchedFile {
  readonly source: string
  /** Its name in `assets/`. */
  readonly file: string
  /** `iife`: a classic script, whose exports are `window.tabserve`. */
  readonly format: 'es' | 'iife'
  /** `tabserve/…`, for those who import it into a file of their own. */
  readonly door?: string
}

export const FETCHED: readonly FetchedFile[] = [
  { source: 'worker-file.ts', file: 'tabserve.worker.js', format: 'es', door: 'worker-file' },
  { source: 'broker.ts', file: 'tabserve.broker.js', format: 'es', door: 'broker' },
  { source: 'global.ts', file: 'tabserve.global.js', format: 'iife', door: 'global' },
  { source: 'service-worker-file.ts', file: 'tabserve.service-worker.js', format: 'es' },
  {
    source: 'isolation-worker.ts',
    file: 'tabserve.isolation-worker.js',
    format: 'es',
    door: 'isolation-worker',
  },
]

/** Files of the rooms that only some pages' workers fetch: the source below `packages/`, and the name in `assets/`. */
export const EXTRAS: Readonly<Record<string, string>> = {
  'convert/src/converter.ts': 'tabserve.convert.js',
  'runtime/src/transformers/library.ts': 'tabserve.transformers.js',
}

/** Files of other packages that workers fetch: the specifier, and the name in `assets/`. */
export const CARRIED: Readonly<Record<string, string>> = {
  'onnxruntime-web/ort-wasm-simd-threaded.mjs': 'ort-wasm-simd-threaded.mjs',
  'onnxruntime-web/ort-wasm-simd-threaded.wasm': 'ort-wasm-simd-threaded.wasm',
  'onnxruntime-web/ort-wasm-simd-threaded.jspi.mjs': 'ort-wasm-simd-threaded.jspi.mjs',
  'onnxruntime-web/ort-wasm-simd-threaded.jspi.wasm': 'ort-wasm-simd-threaded.jspi.wasm',
  'onnxruntime-web/ort-wasm-simd-threaded.asyncify.mjs': 'ort-wasm-simd-threaded.asyncify.mjs',
  'onnxruntime-web/ort-wasm-simd-threaded.asyncify.wasm': 'ort-wasm-simd-threaded.asyncify.wasm',
  '@mlc-ai/web-xgrammar/lib/index.js': 'xgrammar.js',
}
