import type { HandlerHost } from '../handlers/handler.ts'
import { ModelShelf } from './model-shelf.ts'
import { SharedRuntime } from './shared-runtime.ts'

/** What we use of transformers.js: its processors, its pictures, and, for who serves them, its pipelines. */
export type Transformers = typeof import('@xenova/transformers')

export interface TransformersDoor {
  readonly library: Transformers
  /** The onnxruntime that the library believes to have. */
  readonly runtime: SharedRuntime
  /** The files that it believes to have fetched before. */
  readonly shelf: ModelShelf
}

/**
 * The one door to transformers.js, for who needs it. It computes nothing and fetches nothing itself: where a JavaScript runtime has an onnxruntime of
 * its own, the library looks for it under `Symbol.for('onnxruntime')`, and finds ours, whose sessions are those of models that are loaded.
 */
export async function openTransformers(host: HandlerHost): Promise<TransformersDoor> {
  const runtime = SharedRuntime.install(globalThis)
  runtime.openWith(host.openGraph)
  const library = (await host.importTransformers()) as Transformers
  const { env } = library
  if (!(env.customCache instanceof ModelShelf)) {
    env.customCache = new ModelShelf() as never // it also has `put`, and asks for no more
    env.useCustomCache = true
    env.useBrowserCache = false
    env.useWasmCache = false
    env.allowRemoteModels = false
    env.allowLocalModels = true
    env.fetch = () => Promise.resolve(new Response(null, { status: 404 }))
  }
  return { library, runtime, shelf: env.customCache as unknown as ModelShelf }
}
