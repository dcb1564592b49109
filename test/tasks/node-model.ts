import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { InferManifest, TensorValue, Tensors } from '@tabserve/protocol'
import { InferenceSession, PublicOrt, Tensor } from '../../packages/runtime/src/backend/public-ort.ts'
import type { Handler, MultiPass } from '../../packages/runtime/src/handlers/handler.ts'
import { TaskModel } from '../../packages/runtime/src/handlers/task-model.ts'
import { memoryFiles } from '../../packages/runtime/src/models/model-files.ts'

const ORT = join(import.meta.dirname, '../../packages/runtime/node_modules/onnxruntime-web/dist')

/** A model in Node, its graphs on onnxruntime-web: items go through a handler one by one, or their rows together. */
export class NodeModel {
  readonly model: TaskModel
  readonly #sessions: ReadonlyMap<string, InferenceSession>
  readonly #ort: PublicOrt
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
    const sessions = new Map<string, InferenceSession>()
    for (const [name, graph] of Object.entries(graphs))
      sessions.set(name, await ort.call(() => InferenceSession.create(graph)))
    return new NodeModel(ort, sessions, taskModel(graphs, files, options))
  }

  private constructor(ort: PublicOrt, sessions: ReadonlyMap<string, InferenceSession>, model: TaskModel) {
    this.#ort = ort
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
    const feeds = Object.fromEntries(
      Object.entries(inputs).map(([key, { datatype, data, shape }]) => [
        key,
        new Tensor(TYPES[datatype] as 'float32', data as Float32Array, shape),
      ]),
    )
    const outputs = await this.#ort.call(() => session.run(feeds))
    return Object.fromEntries(
      Object.entries(outputs).map(([key, { type, data, dims }]): [string, TensorValue] => {
        const datatype = Object.entries(TYPES).find(
          ([, name]) => name === type,
        )?.[0] as TensorValue['datatype']
        return [key, { datatype, data: data as Float32Array, shape: dims }]
      }),
    )
  }
}

const TYPES: Readonly<Partial<Record<TensorValue['datatype'], string>>> = {
  BOOL: 'bool',
  UINT8: 'uint8',
  INT64: 'int64',
  FP32: 'float32',
}

function taskModel(
  graphs: Readonly<Record<string, Uint8Array>>,
  files: Readonly<Record<string, string>>,
  options: InferManifest['options'] = {},
): TaskModel {
  const texts = Object.entries(files).map(([path, text]) => [path, new TextEncoder().encode(text)] as const)
  const all = new Map([
    ...texts,
    ...Object.entries(graphs).map(([name, bytes]) => [`${name}.onnx`, Uint8Array.from(bytes)] as const),
  ])
  const spec = (name: string) => ({ kind: 'onnx', file: `${name}.onnx` }) as const
  const others = Object.keys(graphs).filter((name) => name !== 'main')
  return new TaskModel(memoryFiles(all), {
    format: 'tabserve-model',
    formatVersion: 1,
    name: 'test',
    version: '1',
    task: 'infer',
    graph: spec('main'),
    graphs: Object.fromEntries(others.map((name) => [name, spec(name)])),
    options,
    ...('tokenizer.json' in files
      ? {
          tokenizer: {
            file: 'tokenizer.json',
            config: 'tokenizer_config.json',
            eosTokenIds: [],
            addBos: false,
          },
        }
      : {}),
    files: [...all].map(([path, bytes]) => ({ path, bytes: bytes.length, sha256: '0'.repeat(64) })),
  })
}
