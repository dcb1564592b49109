import { expose } from 'comlink'
import * as onnxruntime from 'onnxruntime-web/wasm'

/** Embeddings by transformers.js alone: its pipeline, its queue, and the same onnxruntime as ours, in an instance of its own. */
const api = {
  /** @param base the folder that holds the model's folder, @param name that folder's name. */
  async open(
    base: string,
    name: string,
    assets: { readonly mjs: string; readonly wasm: string },
  ): Promise<void> {
    const { env: runtime } = onnxruntime
    runtime.wasm.wasmPaths = { mjs: assets.mjs, wasm: assets.wasm }
    runtime.wasm.numThreads = 1
    Object.defineProperty(globalThis, Symbol.for('onnxruntime'), { value: onnxruntime })
    const { env, pipeline } = await import('@xenova/transformers')
    env.allowLocalModels = true
    env.allowRemoteModels = false
    env.useBrowserCache = false
    env.useWasmCache = false
    env.localModelPath = base
    const make = pipeline as unknown as (task: string, name: string, options: object) => Promise<Pipe>
    Object.assign(state, { pipe: await make('feature-extraction', name, { device: 'auto', dtype: 'fp32' }) })
  },

  /** Vectors of texts that go through the model as one padded batch. */
  async embed(texts: readonly string[]): Promise<number[][]> {
    if (state.pipe === undefined) throw new Error('open a model first')
    return (await state.pipe([...texts], { pooling: 'mean', normalize: true })).tolist()
  },
}

type Pipe = (texts: string[], options: object) => Promise<{ tolist(): number[][] }>

const state: { pipe?: Pipe } = {}

export type TransformersApi = typeof api

expose(api)
