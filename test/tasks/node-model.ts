import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { InferManifest, Tensors } from '@tabserve/protocol'
import { InferSession } from '../../packages/runtime/src/backend/infer-session.ts'
import { PublicOrt } from '../../packages/runtime/src/backend/public-ort.ts'
import type { Handler, HandlerHost, MultiPass } from '../../packages/runtime/src/handlers/handler.ts'
import { TaskModel } from '../../packages/runtime/src/handlers/task-model.ts'
import { memoryFiles } from '../../packages/runtime/src/models/model-files.ts'
import { taskFiles } from './write-folder.ts'

const ORT = join(import.meta.dirname, '../../packages/runtime/node_modules/onnxruntime-web/dist')

const HOST: HandlerHost = {
  openGraph: () => Promise.reject(new Error('no handler under test brings a graph along')),
  importTransformers: () => Promise.reject(new Error('no handler under test needs transformers.js')),
}

/** A model in Node, its graphs on onnxruntime-web: items go through a handler one by one, or their rows together. */
export class NodeModel {
  readonly model: TaskModel
  readonly #sessions: ReadonlyMap<string, InferSession>
  /** Passes by their session's name. */
  readonly passes: string[] = []

  static async open(
    graphs: Readonly<Record<string, Uint8Array>>,
    files: Readonly<Record<string, string>> = {},
    options: InferManifest['options'] = {},
  ): Promise<NodeModel> {
    const [mjs = '', wasm = ''] = ['mjs', 'wasm'].map(
      (ending) => pathToFileURL(join(ORT, `ort-wasm-simd-threaded.${ending}`)).href,
    )
    const ort = new PublicOrt({ mjs, wasm }, 1)
    const sessions = new Map<string, InferSession>()
    for (const [name, graph] of Object.entries(graphs))
      sessions.set(name, await InferSession.create(ort, graph, []))
    const folder = taskFiles({ name: 'test', graphs, files, options })
    const all = new Map(Object.entries(folder.files).map(([path, bytes]) => [path, Uint8Array.from(bytes)]))
    return new NodeModel(sessions, new TaskModel(memoryFiles(all), folder.manifest, HOST))
  }

  private constructor(sessions: ReadonlyMap<string, InferSession>, model: TaskModel) {
    this.#sessions = sessions
    this.model = model
  }

  async ask<Input, Output>(
    handler: Handler<Input, Output>,
    input: Input,
    parameters: object = {},
  ): Promise<Output> {
    const context = {
      parameters: { ...parameters },
      signal: new AbortController().signal,
      item: new Map<string, unknown>(),
    }
    const inputs = await handler.preprocess(input, context)
    return handler.postprocess(await this.run('main', inputs), context)
  }

  askPasses<Input, Output>(
    handler: MultiPass<Input, Output>,
    input: Input,
    parameters: object = {},
  ): Promise<Output> {
    return handler.run(input, {
      parameters: { ...parameters },
      signal: new AbortController().signal,
      item: new Map(),
      run: (session, inputs) => this.run(session, inputs),
    })
  }

  async run(name: string, inputs: Tensors): Promise<Tensors> {
    this.passes.push(name)
    const session = this.#sessions.get(name)
    if (session === undefined) throw new Error(`there is no session ${name}`)
    return session.run(inputs, undefined)
  }
}
