import { wrap } from 'comlink'
import mjs from '@tabserve/runtime/ort.mjs?url'
import wasm from '@tabserve/runtime/ort.wasm?url'
import type { HarnessApi } from './worker.ts'

/** `window.harness`: the rooms below the client, in a worker, for tests and benchmarks that look at logits or storage. */
const harness = wrap<HarnessApi>(new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' }))

declare global {
  interface Window {
    harness: typeof harness
    assets: { readonly mjs: string; readonly wasm: string }
  }
}

window.harness = harness
window.assets = { mjs: new URL(mjs, import.meta.url).href, wasm: new URL(wasm, import.meta.url).href }
