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
  RestoreSessionRequest,
  RestoredSession,
  SaveSessionRequest,
  SavedSession,
  TokenizeRequest,
  WorkerConfig,
} from '@tabserve/protocol'
import { EngineError, findModel } from '@tabserve/protocol'
import type {
  LoadableModel,
  LoadedModel,
  ModelFiles,
  ModelRepository,
  OpenedModel,
  SavedSessions,
} from '@tabserve/runtime'
import { Device, Mutex, loadTask } from '@tabserve/runtime'
import type { WorkerExtensions } from '@tabserve/runtime/extensions'
import { tellOfLoad, tellOfUnload } from './load-events.ts'
import type { OpenedEntry } from './open-pipeline.ts'
import { openPipeline } from './open-pipeline.ts'
import type { Telemetry } from './telemetry.ts'

interface Entry {
  /** But for what may change: see `infoOf`. */
  readonly info: ModelInfo
  /** `undefined` while it sleeps. */
  model: LoadedModel | undefined
  /** Makes the model anew, out of the store. */
  readonly revive: () => Promise<LoadedModel>
  /** Saves and restores that are under way. */
  readonly moves: Set<Promise<unknown>>
}

/** The models of one worker: loads them, finds the one that a request names, lets them go. */
export class Server {
  readonly device: Device
  readonly #repository: ModelRepository
  readonly #sessions: SavedSessions
  readonly #telemetry: Telemetry
  readonly #extensions: WorkerExtensions
  readonly #models = new Map<string, Entry>()
  /** Loads and unloads in the order in which they were asked for: two loads of one model must not make it twice. */
  readonly #turns = new Mutex()

  constructor(
    config: WorkerConfig,
    repository: ModelRepository,
    sessions: SavedSessions,
    telemetry: Telemetry,
    extensions: WorkerExtensions,
  ) {
    this.#extensions = extensions
    this.device = new Device(config)
    this.#sessions = sessions
    this.#repository = repository
    this.#telemetry = telemetry
  }

  /** Loads what the request names. A model of the same name and version is replaced once the new one is ready. */
  load(
    request: LoadRequest,
    onProgress: (progress: LoadProgress) => void,
    signal: AbortSignal,
  ): Promise<ModelInfo> {
    return this.#turns.run(() =>
      tellOfLoad(this.#telemetry, request.url, onProgress, (told) => this.#load(request, told, signal)),
    )
  }

  /** Throws `model_not_loaded`. Requests that are running end with `engine_lost`. */
  unload(id: string): Promise<void> {
    return this.#turns.run(async () => {
      const { info, model } = this.#find(id)
      this.#models.delete(info.id)
      await model?.served.dispose()
      tellOfUnload(this.#telemetry, info.id)
    })
  }

  /** Frees a model, once sessions that are being saved or restored are, and keeps its place; running requests end with `engine_lost`. Throws `model_not_loaded`. */
  sleep(id: string): Promise<void> {
    return this.#turns.run(async () => {
      const entry = this.#find(id)
      const { model } = entry
      entry.model = undefined
      await Promise.allSettled(entry.moves)
      await model?.served.dispose()
    })
  }

  /** Makes a model that sleeps serve again. Throws `model_not_loaded`, or what keeps it from being made. */
  wake(id: string): Promise<ModelInfo> {
    return this.#turns.run(async () => {
      const entry = this.#find(id)
      entry.model ??= await entry.revive()
      return infoOf(entry)
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
    return this.#awake(id).stats()
  }

  /** Throws `model_not_loaded` or `bad_request`. */
  tokenize(request: TokenizeRequest): readonly number[] {
    return this.#awake(request.model).tokenize(request)
  }

  /** Throws `model_not_loaded` or `bad_request`. */
  tokenTexts(id: string, tokens: readonly number[]): readonly string[] {
    return this.#awake(id).tokenTexts(tokens)
  }

  /** How far everything is, for whoever watches over this worker. */
  pulse(): Pulse {
    const served = [...this.#models.values()].flatMap(({ model }) => model?.served ?? [])
    const stats = served.map((each) => each.stats())
    // The GPU's link knows when that is silent for too long, and brings it back; this worker could only be ended.
    const isAwaiting = served.some((each) => each.isAwaitingDevice)
    return {
      busy: !isAwaiting && stats.some(({ running, waiting }) => running + waiting > 0),
      progress: stats.reduce(
        (sum, { computedTokens, generatedTokens, oneShot }) =>
          sum + computedTokens + generatedTokens + (oneShot?.infer.count ?? 0),
        0,
      ),
    }
  }

  /** Throws `model_not_loaded`. */
  resetPrefixCache(id: string): void {
    this.#awake(id).resetPrefixCache()
  }

  clearCache(url?: string): Promise<void> {
    return this.#turns.run(() => this.#repository.clear(url))
  }

  /** Hands a request to its model. Throws `model_not_loaded`; everything else is said through `emit`. */
  submit(request: Request, emit: Emit): Cancel {
    return this.#awake(request.model).submit(request, emit)
  }

  /** Keeps an open session for later visits, its KV too. Throws `model_not_loaded`, `bad_request`, `storage`, or what keeps its KV from being computed. */
  saveSession({ model: id, session, name, state }: SaveSessionRequest): Promise<SavedSession> {
    return this.#moving(id, async ({ info }, served) => {
      const kv = await served.readSession(session, state.cacheSalt ?? '', state.tokens)
      return this.#sessions.save(name, info.manifest, state, kv)
    })
  }

  /** Puts a saved session where the model finds it cached. Throws `model_not_loaded`, `context_overflow`, and what `SavedSessions.open` does. */
  restoreSession(request: RestoreSessionRequest): Promise<RestoredSession> {
    return this.#moving(request.model, async ({ info }, served) => {
      const holder = { manifest: info.manifest, kvLayout: served.kvLayout }
      const { saved, state, kv } = await this.#sessions.open(request.name, holder, request.recompute)
      if (state.tokens.length > info.contextLength) {
        const message = `The session ${saved.name} has ${state.tokens.length} tokens and the model's context ${info.contextLength}.`
        throw new EngineError('context_overflow', `${message} Load it with a larger contextLength.`)
      }
      if (kv !== undefined) await served.writeSession(request.session, state.cacheSalt ?? '', kv)
      return { saved, state, hasKv: kv !== undefined }
    })
  }

  /** Throws `model_not_loaded`. */
  shareSession(id: string, from: string, to: string): void {
    this.#awake(id).shareSession(from, to)
  }

  /** Throws `model_not_loaded`. */
  releaseSession(id: string, session: string): void {
    this.#find(id).model?.served.releaseSession(session)
  }

  /** Moves a session's KV between a model and the store: the model does not fall asleep meanwhile. Throws `model_not_loaded`, `model_asleep`. */
  async #moving<T>(
    id: string,
    move: (entry: Entry, served: LoadedModel['served']) => Promise<T>,
  ): Promise<T> {
    const entry = this.#find(id)
    const moving = move(entry, this.#awake(id))
    entry.moves.add(moving)
    try {
      return await moving
    } finally {
      entry.moves.delete(moving)
    }
  }

  async #load(
    request: LoadRequest,
    onProgress: (progress: LoadProgress) => void,
    signal: AbortSignal,
  ): Promise<ModelInfo> {
    const entry = await this.#enter(request, onProgress, signal)
    const { id } = entry.info
    const replaced = this.#models.get(id)
    this.#models.set(id, entry)
    await replaced?.model?.served.dispose()
    return infoOf(entry)
  }

  async #enter(
    request: LoadRequest,
    onProgress: (progress: LoadProgress) => void,
    signal: AbortSignal,
  ): Promise<Entry> {
    const { pipeline } = request
    if (pipeline === undefined) return this.#open(request, onProgress, signal)
    const choice = this.device.cpuChoice(false)
    const open = (onProgress: (progress: LoadProgress) => void, signal: AbortSignal) =>
      openPipeline(pipeline, request, this.#extensions, choice, (member) =>
        this.#open(member, onProgress, signal),
      )
    const revive = async () => (await open(() => {}, new AbortController().signal)).model
    return { ...(await open(onProgress, signal)), revive, moves: new Set() }
  }

  /** A model that nobody can ask yet. */
  async #open(
    request: LoadRequest,
    onProgress: (progress: LoadProgress) => void,
    signal: AbortSignal,
  ): Promise<OpenedEntry & Entry> {
    const { url, files, hub, refresh = false } = request
    const source = files !== undefined ? { files } : (hub ?? { url })
    const opened = await this.#repository.open(source, { signal, onProgress, refresh })
    const { manifest, address, files: openedFiles } = opened
    const reopen = () => this.#reopen(opened, request.hub ?? { url: address })
    const make = (files: ModelFiles, onProgress: (progress: LoadProgress) => void) =>
      this.#make({ address, manifest, files, reopen }, request, onProgress)
    const { served, report, cache, ...facts } = await make(openedFiles, onProgress)
    const fetched = await this.#finish(opened, served)
    const info: ModelInfo = {
      ...facts,
      ...served.facts(),
      id: idOf(manifest),
      url: opened.address,
      manifest: withCache(manifest, cache),
      threads: this.device.report.threads,
      load: { ...fetched, ...report },
    }
    const revive = async () => make(await reopen(), () => {})
    return { info, model: { served, report, ...facts }, revive, moves: new Set() }
  }

  async #make(
    { address, ...model }: Omit<LoadableModel, 'observer'> & Pick<OpenedModel, 'address'>,
    request: LoadRequest,
    onProgress: (progress: LoadProgress) => void,
  ): Promise<LoadedModel> {
    try {
      const observer = this.#telemetry.observerOf(idOf(model.manifest))
      return await loadTask({ ...model, observer }, this.device, request, onProgress, this.#extensions)
    } catch (error) {
      // Kept, it would be found again at every load, also after the server has a better one.
      if (error instanceof EngineError && error.code === 'bad_model') await this.#repository.clear(address)
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

  #find(id: string): Entry {
    return findModel(this.#models, id)
  }

  /** Throws `model_not_loaded`, `model_asleep`. */
  #awake(id: string): LoadedModel['served'] {
    const { info, model } = this.#find(id)
    if (model !== undefined) return model.served
    throw new EngineError('model_asleep', `${info.id} sleeps: wake it first.`)
  }
}

function idOf({ name, version }: Manifest): string {
  return `${name}@${version}`
}

function infoOf({ info, model }: Entry): ModelInfo {
  if (model === undefined) return info
  const { runnerReason: _, placement: __, activations: ___, ...lasting } = info
  return { ...lasting, ...model.served.facts() }
}

/** The manifest says of a foreign graph what was found in it, whatever the folder's own says. */
function withCache(manifest: Manifest, cache: CacheFacts | undefined): Manifest {
  if (manifest.task !== 'generate' || manifest.graph.kind !== 'decoder-onnx' || cache === undefined)
    return manifest
  return { ...manifest, graph: { ...manifest.graph, cache } }
}
