import type { Cancel, Emit } from '@tabserve/engine'
import type {
  CacheFacts,
  LoadProgress,
  LoadRequest,
  Manifest,
  ModelInfo,
  ModelSourceRequest,
  ModelStats,
  Pulse,
  Request,
  TokenizeRequest,
  WorkerConfig,
} from '@tabserve/protocol'
import { EngineError, findModel } from '@tabserve/protocol'
import type {
  LoadedModel,
  ModelFiles,
  ModelRepository,
  OpenedModel,
  WorkerExtensions,
} from '@tabserve/runtime'
import { Device, Mutex, loadTask } from '@tabserve/runtime'
import type { OpenedEntry } from './open-pipeline.ts'
import { openPipeline } from './open-pipeline.ts'

/** The models of one worker: loads them, finds the one that a request names, lets them go. */
export class Server {
  readonly device: Device
  readonly #repository: ModelRepository
  readonly #extensions: WorkerExtensions
  readonly #models = new Map<string, OpenedEntry>()
  /** Loads and unloads in the order in which they were asked for: two loads of one model must not make it twice. */
  readonly #turns = new Mutex()

  constructor(config: WorkerConfig, repository: ModelRepository, extensions: WorkerExtensions) {
    this.#extensions = extensions
    this.device = new Device(config)
    this.#repository = repository
  }

  /** Loads what the request names. A model of the same name and version is replaced once the new one is ready. */
  load(
    request: LoadRequest,
    onProgress: (progress: LoadProgress) => void,
    signal: AbortSignal,
  ): Promise<ModelInfo> {
    return this.#turns.run(() => this.#load(request, onProgress, signal))
  }

  /** Throws `model_not_loaded`. Requests that are running end with `engine_lost`. */
  unload(id: string): Promise<void> {
    return this.#turns.run(async () => {
      const { info, model } = this.#find(id)
      this.#models.delete(info.id)
      await model.served.dispose()
    })
  }

  list(): ModelInfo[] {
    return [...this.#models.values()].map(infoOf)
  }

  /** Throws `model_not_loaded`. */
  describe(id: string): ModelInfo {
    return infoOf(this.#find(id))
  }

  /** Throws `model_not_loaded`. */
  stats(id: string): ModelStats {
    return this.#find(id).model.served.stats()
  }

  /** Throws `model_not_loaded` or `bad_request`. */
  tokenize(request: TokenizeRequest): readonly number[] {
    return this.#find(request.model).model.served.tokenize(request)
  }

  /** Throws `model_not_loaded` or `bad_request`. */
  tokenTexts(id: string, tokens: readonly number[]): readonly string[] {
    return this.#find(id).model.served.tokenTexts(tokens)
  }

  /** How far everything is, for whoever watches over this worker. */
  pulse(): Pulse {
    const served = [...this.#models.values()].map(({ model }) => model.served)
    const stats = served.map((each) => each.stats())
    // Who waits for another runner waits as a load does: nothing is stuck.
    const isRecovering = served.some((each) => each.isRecovering)
    return {
      busy: !isRecovering && stats.some(({ running, waiting }) => running + waiting > 0),
      progress: stats.reduce(
        (sum, { computedTokens, generatedTokens, oneShot }) =>
          sum + computedTokens + generatedTokens + (oneShot?.infer.count ?? 0),
        0,
      ),
    }
  }

  /** Throws `model_not_loaded`. */
  resetPrefixCache(id: string): void {
    this.#find(id).model.served.resetPrefixCache()
  }

  clearCache(url?: string): Promise<void> {
    return this.#turns.run(() => this.#repository.clear(url))
  }

  /** Hands a request to its model. Throws `model_not_loaded`; everything else is said through `emit`. */
  submit(request: Request, emit: Emit): Cancel {
    return this.#find(request.model).model.served.submit(request, emit)
  }

  async #load(
    request: LoadRequest,
    onProgress: (progress: LoadProgress) => void,
    signal: AbortSignal,
  ): Promise<ModelInfo> {
    const { pipeline } = request
    const entry =
      pipeline === undefined
        ? await this.#open(request, onProgress, signal)
        : await openPipeline(pipeline, request, this.#extensions, this.device.cpuChoice(false), (member) =>
            this.#open(member, onProgress, signal),
          )
    const { id } = entry.info
    const replaced = this.#models.get(id)
    this.#models.set(id, entry)
    await replaced?.model.served.dispose()
    return infoOf(entry)
  }

  /** A model that nobody can ask yet. */
  async #open(
    request: LoadRequest,
    onProgress: (progress: LoadProgress) => void,
    signal: AbortSignal,
  ): Promise<OpenedEntry> {
    const { url, files, hub, refresh = false } = request
    const source = files !== undefined ? { files } : (hub ?? { url })
    const opened = await this.#repository.open(source, { signal, onProgress, refresh })
    const { manifest } = opened
    const { served, report, cache, ...facts } = await this.#make(opened, request, onProgress)
    const fetched = await this.#finish(opened, served)
    const info: ModelInfo = {
      ...facts,
      ...served.facts(),
      id: `${manifest.name}@${manifest.version}`,
      url: opened.address,
      manifest: withCache(manifest, cache),
      threads: this.device.report.threads,
      load: { ...fetched, ...report },
    }
    return { info, model: { served, report, ...facts } }
  }

  async #make(
    opened: OpenedModel,
    request: LoadRequest,
    onProgress: (progress: LoadProgress) => void,
  ): Promise<LoadedModel> {
    try {
      const { manifest, files } = opened
      const reopen = () => this.#reopen(opened, request.hub ?? { url: opened.address })
      const model = { manifest, files, reopen }
      return await loadTask(model, this.device, request, onProgress, this.#extensions)
    } catch (error) {
      // Kept, it would be found again at every load, also after the server has a better one.
      if (error instanceof EngineError && error.code === 'bad_model')
        await this.#repository.clear(opened.address)
      throw error
    }
  }

  /** The same files again: a stored model needs no network. Throws `bad_model` where another model lies at the address by now. */
  async #reopen({ address, manifest }: OpenedModel, source: ModelSourceRequest): Promise<ModelFiles> {
    const { signal } = new AbortController()
    const again = await this.#repository.open(source, { signal, onProgress: () => {}, refresh: false })
    if (JSON.stringify(again.manifest) === JSON.stringify(manifest)) return again.files
    throw new EngineError('bad_model', `Another model lies at ${address} than was loaded from there.`)
  }

  /** A model serves only once its whole folder is known to be right. */
  async #finish(opened: OpenedModel, served: LoadedModel['served']): ReturnType<OpenedModel['finish']> {
    try {
      return await opened.finish()
    } catch (error) {
      await served.dispose()
      throw error
    }
  }

  #find(id: string): OpenedEntry {
    return findModel(this.#models, id)
  }
}

function infoOf({ info, model }: OpenedEntry): ModelInfo {
  const { runnerReason: _, placement: __, ...lasting } = info
  return { ...lasting, ...model.served.facts() }
}

/** The manifest says of a foreign graph what was found in it, whatever the folder's own says. */
function withCache(manifest: Manifest, cache: CacheFacts | undefined): Manifest {
  if (manifest.task !== 'generate' || manifest.graph.kind !== 'decoder-onnx' || cache === undefined)
    return manifest
  return { ...manifest, graph: { ...manifest.graph, cache } }
}
