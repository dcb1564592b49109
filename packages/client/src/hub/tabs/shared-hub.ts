import type { HubApi, LoadRequest, ModelInfo, Scaling } from '@tabserve/protocol'
import { answer } from '@tabserve/protocol'
import type { Hub } from '../hub.ts'
import { hubApi } from '../hub-api.ts'

/** A hub for several tabs: a model that one has loaded is there for the others, and goes when the last one of them unloads it. */
export class SharedHub {
  readonly #hub: Hub
  readonly #onChange: () => void
  readonly #loading = new Map<string, Promise<ModelInfo>>()
  /** Tabs that have loaded a model, by its id. */
  readonly #holders = new Map<string, Set<string>>()
  /** Sessions that a tab has opened, and their models. */
  readonly #sessions = new Map<string, Map<string, string>>()

  /** @param onChange called when other models are loaded than before. */
  constructor(hub: Hub, onChange: () => void) {
    this.#hub = hub
    this.#onChange = onChange
  }

  /** What one tab may call. @param tab its name, which no other has. */
  apiFor(tab: string): HubApi {
    const api = hubApi(this.#hub)
    const idOf = (id: string) => `${tab}/${id}`
    return {
      ...api,
      load: (request, scaling, port) =>
        answer('backend_failed', () => this.#load(tab, request, scaling, port)),
      unload: (model) => answer('backend_failed', () => this.#unload(tab, model).then(() => null)),
      scale: (model, replicas) => this.#changing(api.scale(model, replicas)),
      sleep: (model, options) => this.#changing(api.sleep(model, options)),
      wake: (model) => this.#changing(api.wake(model)),
      submit: (request, port, id, isCancelled) => {
        if (request.task === 'generate') this.#opened(tab, request.session, request.model)
        return api.submit(request, port, idOf(id), isCancelled)
      },
      restoreSession: (request) => {
        this.#opened(tab, request.session, request.model)
        return api.restoreSession(request)
      },
      shareSession: (model, from, to) => {
        this.#opened(tab, to, model)
        return api.shareSession(model, from, to)
      },
      releaseSession: (model, session) => {
        this.#sessions.get(tab)?.delete(session)
        return api.releaseSession(model, session)
      },
      cancel: (id) => api.cancel(idOf(id)),
    }
  }

  /** A tab is gone: its requests end, and its sessions keep nothing any more. What it had loaded stays, for the others may ask it. */
  leave(tab: string): void {
    this.#hub.cancelAll(`${tab}/`)
    for (const [session, model] of this.#sessions.get(tab) ?? [])
      void this.#hub.releaseSession(model, session).catch(() => {}) // its model was unloaded
    this.#sessions.delete(tab)
    for (const holders of this.#holders.values()) holders.delete(tab)
  }

  /** What changes how a model is held: the next leader is to know. */
  async #changing<T>(call: Promise<T>): Promise<T> {
    const answered = await call
    this.#onChange()
    return answered
  }

  #opened(tab: string, session: string | undefined, model: string): void {
    if (session === undefined) return
    const sessions = this.#sessions.get(tab) ?? new Map<string, string>()
    this.#sessions.set(tab, sessions.set(session, model))
  }

  async #load(tab: string, request: LoadRequest, scaling: Scaling, port: MessagePort): Promise<ModelInfo> {
    const info = await this.#loadOnce(request, scaling, port)
    const holders = this.#holders.get(info.id) ?? new Set()
    this.#holders.set(info.id, holders.add(tab))
    return info
  }

  async #loadOnce(request: LoadRequest, scaling: Scaling, port: MessagePort): Promise<ModelInfo> {
    const key = keyOf(request)
    if (key === undefined || request.refresh === true) return this.#loadAnew(request, scaling, port)
    // What another tab loads may fail for reasons that are its own: then this one tries.
    const shared = await this.#loading.get(key)?.catch(() => undefined)
    const held = shared ?? this.#hub.held().find((held) => keyOf(held.request) === key)?.info
    if (held !== undefined) {
      port.close()
      return held
    }
    const loading = this.#loadAnew(request, scaling, port).finally(() => this.#loading.delete(key))
    this.#loading.set(key, loading)
    return loading
  }

  async #loadAnew(request: LoadRequest, scaling: Scaling, port: MessagePort): Promise<ModelInfo> {
    const info = await this.#hub.load(request, scaling, port)
    this.#onChange()
    return info
  }

  async #unload(tab: string, model: string): Promise<void> {
    const id = this.#hub.idOf(model)
    const holders = this.#holders.get(id)
    holders?.delete(tab)
    if (holders !== undefined && holders.size > 0) return
    this.#holders.delete(id)
    await this.#hub.unload(id)
    this.#onChange()
  }
}

/** Equal for two loads of which one is enough; none for picked files. */
function keyOf({ files, refresh: _, ...request }: LoadRequest): string | undefined {
  if (files !== undefined) return undefined
  return JSON.stringify(Object.entries(request).toSorted(([one], [other]) => (one < other ? -1 : 1)))
}
