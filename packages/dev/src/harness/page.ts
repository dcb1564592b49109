import { wrap } from 'comlink'
import type { WorkerAssets } from '@tabserve/protocol'
import { assets } from '@tabserve/runtime/assets'
import { createClient } from 'tabserve'
import type { TransformersApi } from './transformers-worker.ts'
import type { HarnessApi } from './worker.ts'

/** `window.harness`: the rooms below the client, in a worker, for tests and benchmarks that look at logits or storage. */
const harness = wrap<HarnessApi>(new Worker(new URL('./worker.ts', import.meta.url), { type: 'module' }))

/** transformers.js as an app has it, in a worker of its own: benchmarks compare with it. */
const startTransformers = () =>
  wrap<TransformersApi>(new Worker(new URL('./transformers-worker.ts', import.meta.url), { type: 'module' }))

declare global {
  interface Window {
    harness: typeof harness
    assets: WorkerAssets
    createClient: typeof createClient
    startTransformers: typeof startTransformers
  }
}

window.harness = harness
window.assets = {
  ...assets,
  converter: new URL('../tabserve.convert.js', location.href).href,
  transformers: new URL('../tabserve.transformers.js', location.href).href,
}
window.createClient = createClient
window.startTransformers = startTransformers
