import type { ModelInfo, TensorSpec } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Client } from '../../client.ts'
import { wholeAnswer } from '../answer-stream.ts'
import { tensorRequest } from './infer-tensors.ts'
import { TEXT_INPUT, TEXT_OUTPUT, inferOptions } from './infer-text.ts'
import { responseTensors } from './response-tensors.ts'
import type {
  KServeInferRequest,
  KServeInferResponse,
  LoadParameters,
  ModelMetadata,
  ModelStatistics,
  RepositoryEntry,
  ServerMetadata,
} from './shapes.ts'
import { modelStatistics } from './statistics.ts'

export type RepositoryClient = Pick<Client, 'generate' | 'infer' | 'list' | 'stats' | 'load' | 'unload'> & {
  readonly models: Pick<Client['models'], 'list'>
}

/** Our version as `package.json` has it; a test holds them together. */
export const SERVER_VERSION = '0.1.0'

/** A client in the words of KServe v2 and of Triton's repository and statistics extensions. Rejects with `EngineError`. */
export class KServeDoor {
  readonly #client: RepositoryClient

  constructor(client: RepositoryClient) {
    this.#client = client
  }

  /** Whether the worker lives. */
  async serverLive(): Promise<boolean> {
    return this.#client.list().then(
      () => true,
      () => false,
    )
  }

  /** Whether a request can be answered: a model is loaded. */
  async serverReady(): Promise<boolean> {
    return this.#client.list().then(
      ({ length }) => length > 0,
      () => false,
    )
  }

  /** Name, version and protocol extensions of this server. */
  serverMetadata(): ServerMetadata {
    const extensions = ['binary_tensor_data', 'model_repository', 'sequence', 'statistics']
    return { name: 'tabserve', version: SERVER_VERSION, extensions }
  }

  /** Whether a model, or one version of it, is loaded. */
  async modelReady(name: string, version?: string): Promise<boolean> {
    return (await this.#client.list()).some((info) => isNamed(info, name, version))
  }

  /** Rejects with `model_not_loaded`. */
  async modelMetadata(name: string, version?: string): Promise<ModelMetadata> {
    const found = await this.#find(name, version)
    return {
      name,
      versions: found.map(({ manifest }) => manifest.version),
      ...signatureOf(newest(found)),
    }
  }

  /**
   * Tensors through a graph, or one text continued. Rejects with `bad_request` for other tensors than the model takes, `unsupported_parameter`,
   * `model_not_loaded`.
   */
  async infer(
    name: string,
    request: KServeInferRequest,
    options: InferCall = {},
  ): Promise<KServeInferResponse> {
    return (await this.inferBinary(name, request, options)).response
  }

  /** With the bytes of outputs that were asked for as binary data; they go behind the JSON. */
  async inferBinary(
    name: string,
    request: KServeInferRequest,
    { version, signal, binary = new Uint8Array() }: InferCall = {},
  ): Promise<{ readonly response: KServeInferResponse; readonly binary: readonly Uint8Array[] }> {
    const info = newest(await this.#find(name, version))
    const ofModel = {
      model_name: name,
      model_version: info.manifest.version,
      ...(request.id === undefined ? {} : { id: request.id }),
    }
    if (info.graph === undefined) {
      const text = await this.#continue(info.id, request, signal)
      return { response: { ...ofModel, outputs: [{ ...TEXT_OUTPUT, data: [text] }] }, binary: [] }
    }
    const { options, isBinary } = tensorRequest(request, binary)
    const asked = { ...options, model: info.id, ...(signal === undefined ? {} : { signal }) }
    const { outputs } = await this.#client.infer(asked)
    const { listed, binary: bytes } = responseTensors(outputs, isBinary)
    return { response: { ...ofModel, outputs: listed }, binary: bytes }
  }

  async #continue(
    model: string,
    request: KServeInferRequest,
    signal: AbortSignal | undefined,
  ): Promise<string> {
    const options = inferOptions(request)
    const generation = this.#client.generate({
      ...options,
      model,
      ...(signal === undefined ? {} : { signal }),
    })
    return (await wholeAnswer(generation, signal)).text
  }

  /** Loaded models and those that the browser's storage knows. */
  async repositoryIndex({ ready = false }: { readonly ready?: boolean } = {}): Promise<RepositoryEntry[]> {
    const loaded = await this.#client.list()
    const entries = loaded.map(({ manifest: { name, version } }) => entryOf(name, version, 'READY', ''))
    if (ready) return entries
    const stored = (await this.#client.models.list()).filter(
      ({ id }) => !loaded.some((info) => info.id === id),
    )
    return [
      ...entries,
      ...stored.map(({ id, state }) => entryOf(...partsOf(id), 'UNAVAILABLE', `not loaded; ${state}`)),
    ]
  }

  /** Rejects with `model_not_found` when no address is given and storage does not know the model. */
  async load(name: string, { url, version }: LoadParameters = {}): Promise<void> {
    const info = await this.#client.load(url ?? (await this.#addressOf(name, version)))
    if (isNamed(info, name, version)) return
    await this.#client.unload(info.id)
    throw new EngineError('bad_request', `The model at ${info.url} is ${info.id}, not ${name}.`)
  }

  /** Without a version: all of them. Rejects with `model_not_loaded`. */
  async unload(name: string, version?: string): Promise<void> {
    for (const { id } of await this.#find(name, version)) await this.#client.unload(id)
  }

  /** Of one model or of all. Rejects with `model_not_loaded`. */
  async statistics(name?: string, version?: string): Promise<{ model_stats: ModelStatistics[] }> {
    const infos = name === undefined ? await this.#client.list() : await this.#find(name, version)
    const each = infos.map(async (info) => modelStatistics(info, await this.#client.stats(info.id)))
    return { model_stats: await Promise.all(each) }
  }

  async #find(name: string, version: string | undefined): Promise<readonly ModelInfo[]> {
    const loaded = await this.#client.list()
    const found = loaded.filter((info) => isNamed(info, name, version))
    if (found.length > 0) return found
    const what = version === undefined ? name : `${name}@${version}`
    const others = loaded.map(({ id }) => id).join(', ') || 'none'
    throw new EngineError('model_not_loaded', `${what} is not loaded: load it first. Loaded: ${others}.`)
  }

  async #addressOf(name: string, version: string | undefined): Promise<string> {
    const known = (await this.#client.models.list())
      .map(({ id, url }) => ({ url, parts: partsOf(id) }))
      .filter(({ parts: [ofName, ofVersion] }) => ofName === name && (version ?? ofVersion) === ofVersion)
      .sort((left, right) => byVersion(right.parts[1], left.parts[1]))
    if (known[0] !== undefined) return known[0].url
    throw new EngineError(
      'model_not_found',
      `Storage knows no ${name}${version === undefined ? '' : ` of version ${version}`}: give the parameter url, the address of its folder.`,
    )
  }
}

export interface InferCall {
  readonly version?: string
  readonly signal?: AbortSignal
  /** What came behind the JSON: the data of inputs that have a `binary_data_size`. */
  readonly binary?: Uint8Array<ArrayBuffer>
}

function signatureOf({ graph, runner }: ModelInfo): Pick<ModelMetadata, 'platform' | 'inputs' | 'outputs'> {
  if (graph === undefined)
    return { platform: `tabserve_${runner}`, inputs: [TEXT_INPUT], outputs: [TEXT_OUTPUT] }
  const metadata = ({ name, datatype, shape = [] }: TensorSpec) => ({
    name,
    datatype,
    shape: shape.map((size) => (typeof size === 'number' ? size : -1)),
  })
  return { platform: 'onnx_onnxv1', inputs: graph.inputs.map(metadata), outputs: graph.outputs.map(metadata) }
}

function entryOf(
  name: string,
  version: string,
  state: RepositoryEntry['state'],
  reason: string,
): RepositoryEntry {
  return { name, version, state, reason }
}

function isNamed({ manifest }: ModelInfo, name: string, version: string | undefined): boolean {
  return manifest.name === name && (version === undefined || manifest.version === version)
}

function newest(infos: readonly ModelInfo[]): ModelInfo {
  return infos.reduce((best, info) =>
    byVersion(info.manifest.version, best.manifest.version) > 0 ? info : best,
  )
}

/** `name@version` taken apart; names have no `@`. */
function partsOf(id: string): [name: string, version: string] {
  const at = id.lastIndexOf('@')
  return [id.slice(0, at), id.slice(at + 1)]
}

function byVersion(left: string, right: string): number {
  return left.localeCompare(right, 'en', { numeric: true })
}
