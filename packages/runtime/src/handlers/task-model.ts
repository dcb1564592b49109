import type { InferManifest, Manifest } from '@tabserve/protocol'
import { EngineError, isRecord } from '@tabserve/protocol'
import type { HandlerHost } from './handler.ts'
import type { ModelFiles } from '../models/model-files.ts'
import type { OnnxGraph } from '../onnx/onnx-graph.ts'
import { readOnnxGraph } from '../onnx/onnx-graph.ts'

/** A model's files and description, as the factories of tasks read them. */
export class TaskModel {
  readonly files: ModelFiles
  readonly manifest: InferManifest
  /** The manifest's `options`: what the model's maker says to its task. */
  readonly options: Readonly<Record<string, unknown>>
  readonly host: HandlerHost

  /** Throws `bad_model` for a decoder, which has no handler. */
  static of(files: ModelFiles, manifest: Manifest, host: HandlerHost): TaskModel {
    if (manifest.task === 'infer') return new TaskModel(files, manifest, host)
    throw new EngineError(
      'bad_model',
      `${manifest.name} continues text; a handler is for models of task infer.`,
    )
  }

  constructor(files: ModelFiles, manifest: InferManifest, host: HandlerHost) {
    this.files = files
    this.manifest = manifest
    this.options = manifest.options ?? {}
    this.host = host
  }

  has(path: string): boolean {
    return this.manifest.files.some((file) => file.path === path)
  }

  /** A file of JSON; {} where there is none. Throws `bad_model`. */
  async json(path: string): Promise<Readonly<Record<string, unknown>>> {
    if (!this.has(path)) return {}
    try {
      const value = JSON.parse(new TextDecoder().decode(await this.files.bytes(path))) as unknown
      if (isRecord(value)) return value
    } catch (cause) {
      throw new EngineError('bad_model', `${path} is not JSON.`, { file: path, cause })
    }
    throw new EngineError('bad_model', `${path} is not a JSON object.`, { file: path })
  }

  /** What the main graph must be fed. Throws `bad_model`. */
  async inputNames(): Promise<readonly string[]> {
    return (await this.graph('main')).inputs.map(({ name }) => name)
  }

  hasGraph(name: string): boolean {
    return name === 'main' || this.manifest.graphs?.[name] !== undefined
  }

  /** A graph by its name in the manifest; `main` is its `graph`. Throws `bad_model`. */
  async graph(name: string): Promise<OnnxGraph> {
    const spec = name === 'main' ? this.manifest.graph : this.manifest.graphs?.[name]
    if (spec === undefined)
      throw new EngineError('bad_model', `The manifest lists no graph ${name} among its graphs.`)
    try {
      return readOnnxGraph(await this.files.bytes(spec.file))
    } catch (cause) {
      if (cause instanceof EngineError) throw cause
      throw new EngineError('bad_model', `${spec.file} is not an ONNX graph: ${String(cause)}`, {
        file: spec.file,
        cause,
      })
    }
  }
}
