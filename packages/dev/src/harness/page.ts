import { wrap } from 'comlink'
import type { WorkerAssets } from '@tabserve/protocol'
import { assets } from '@tabserve/runtime/assets'
import type { HarnessApi } from './worker.ts'

/** `window.harness`: the rooms below the client, in a worker, for tests and benchmarks that look at logits or storage. */
const harness = wrap<HarnessApi>(new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' }))

declare global {
  interface Window {
    harness: typeof harness
    assets: WorkerAssets
  }
}

window.harness = harness
window.assets = { ...assets, converter: new URL('../tabserve.convert.js', location.href).href }
