import { SharedRuntime } from './shared-runtime.ts'

/** What we use of transformers.js: its processors, its pictures, and, for who serves them, its pipelines. */
export type Transformers = typeof import('@xenova/transformers')

export interface TransformersDoor {
  readonly library: Transformers
  /** The onnxruntime that the library believes to have. */
  readonly runtime: SharedRuntime
}

/**
 * The one door to transformers.js, fetched by who needs it. It computes nothing here: where a JavaScript runtime has an onnxruntime of its own, the
 * library looks for it under `Symbol.for('onnxruntime')`, and finds ours, whose sessions are those of the model that is loaded.
 */
export async function openTransformers(): Promise<TransformersDoor> {
  const runtime = SharedRuntime.install(globalThis)
  const library = await import('@xenova/transformers')
  library.env.allowRemoteModels = false
  library.env.useBrowserCache = false
  library.env.useWasmCache = false
  return { library, runtime }
}
