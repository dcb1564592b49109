import type { Request, ModelIndex, ModelInfo, VersionPolicy } from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import type { AliasOptions } from './alias-table.ts'
import { AliasTable } from './alias-table.ts'
import type { Clock } from './clock.ts'
import type { AskRemote, Listener } from './dispatcher.ts'
import { Dispatcher } from './dispatcher.ts'
import type { Held } from './memory-budget.ts'
import { checkRoom, modelBytes } from './memory-budget.ts'
import type { VersionStatus } from './model-directory.ts'
import { ModelDirectory } from './model-directory.ts'
import type { HostLoadOptions, HostSource, ModelHost } from './model-host.ts'
import type { RolloutOptions } from './rollout.ts'
import { Rollout } from './rollout.ts'
import type { VersionReport } from './version-metrics.ts'
import { offeredVersions } from './version-policy.ts'
import { VersionTraffic } from './version-traffic.ts'

export interface ControlPorts {
  readonly host: ModelHost
  readonly askRemote: AskRemote
  readonly clock: Clock
  /** From [0, 1). */
  readonly random: () => number
  /** Most bytes of all loaded models together; a load beyond it is refused. */
  readonly memoryBudgetBytes: number
  /** The same for what a rollout puts beside what is loaded. */
  readonly rolloutBudgetBytes: number
}

/** Names, versions, aliases and rollouts over the models that a host runs. */
export class ControlPlane {
  readonly directory = new ModelDirectory()
  readonly #ports: ControlPorts
  readonly #aliases: AliasTable
  readonly #traffic: VersionTraffic
  readonly #dispatcher: Dispatcher
  readonly #rollouts = new Map<string, Rollout>()
  /** How many workers are to hold a model at least, where it is not one. */
  readonly #replicas = new Map<string, number>()

  constructor(ports: ControlPorts) {
    this.#ports = ports
    this.#aliases = new AliasTable(ports.random)
    this.#traffic = new VersionTraffic(() => ports.clock.now())
    const { host, askRemote } = ports
    const parts = { directory: this.directory, aliases: this.#aliases, traffic: this.#traffic }
    this.#dispatcher = new Dispatcher({ host, askRemote, ...parts })
  }

  /** @param base the index's folder. Throws `bad_request`, `model_not_found`. */
  register(index: ModelIndex, base: string, policy?: VersionPolicy): readonly VersionStatus[] {
    const { name, versions } = index
    if (this.#aliases.has(name)) throw new EngineError('bad_request', `${name} is the name of an alias.`)
    const known = new Map(versions.map((entry) => [entry.version, entry]))
    const offered = offeredVersions([...known.keys()], policy ?? index.versionPolicy)
    this.directory.register(
      name,
      offered.map((version) => {
        const { path = `${version}/`, bytes } = known.get(version) ?? {}
        return { version, url: new URL(path, base).href, ...(bytes === undefined ? {} : { bytes }) }
      }),
    )
    return this.directory.list().filter((status) => status.name === name)
  }

  /** Loads a registered version by its name, or any model from where it lies. */
  async load(model: string | HostSource, options: HostLoadOptions): Promise<ModelInfo> {
    const { host, memoryBudgetBytes } = this.#ports
    const registered = typeof model === 'string' ? this.directory.findRegistered(model) : undefined
    const source = typeof model === 'string' ? { url: registered?.url ?? model } : model
    const id = registered?.id ?? source.url
    try {
      if (memoryBudgetBytes !== Infinity) {
        const bytes = registered?.bytes ?? (await host.folderBytes(source))
        checkRoom(id, bytes * leastReplicas(options), this.#besides(id), memoryBudgetBytes)
      }
      if (this.directory.info(id) === undefined) this.directory.setState(id, 'LOADING')
      return await this.adopt(await host.load(source, options), options)
    } catch (error) {
      // One that is loaded already goes on serving.
      const failure = EngineError.fromWire(toWireError(error, 'backend_failed'))
      if (this.directory.info(id) === undefined) this.directory.setState(id, 'UNAVAILABLE', failure)
      throw failure
    }
  }

  /** Takes a model in that the host has loaded. Throws `memory` where it turned out too large; it is unloaded then. */
  async adopt(info: ModelInfo, options: HostLoadOptions): Promise<ModelInfo> {
    this.directory.setReady(info)
    try {
      this.reserve(info.id, leastReplicas(options))
      return info
    } catch (error) {
      await this.unload(info.id, false)
      throw error
    }
  }

  /** Counts so many replicas of a loaded model as its own from now on. Gives its id. Throws `memory` where they do not fit. */
  reserve(name: string, replicas: number): string {
    const id = this.directory.resolve(name)
    const info = this.directory.info(id)
    if (info !== undefined)
      checkRoom(id, modelBytes(info) * replicas, this.#besides(id), this.#ports.memoryBudgetBytes)
    this.#replicas.set(id, replicas)
    return id
  }

  /** @param drain waits for the running requests first. */
  async unload(name: string, drain: boolean): Promise<void> {
    const id = this.directory.resolve(name)
    this.directory.setState(id, 'UNLOADING')
    if (drain) await this.#traffic.whenIdle(id)
    try {
      await this.#ports.host.unload(id)
    } finally {
      this.directory.setState(id, 'UNAVAILABLE')
    }
  }

  /** Throws `bad_request` while a rollout moves the alias. */
  setAlias(name: string, options: AliasOptions): void {
    this.#refuseMoving(name)
    if (this.directory.isName(name))
      throw new EngineError('bad_request', `${name} is the name of a model: use setDefault.`)
    this.#aliases.set(name, options)
  }

  removeAlias(name: string): void {
    this.#refuseMoving(name)
    this.#aliases.remove(name)
  }

  aliases(): ReadonlyMap<string, AliasOptions> {
    return this.#aliases.list()
  }

  reports(): readonly VersionReport[] {
    return this.#traffic.reports()
  }

  submit(request: Request, stickyKey: string | undefined, listener: Listener): () => void {
    return this.#dispatcher.submit(request, stickyKey, listener)
  }

  /** Resolves once nothing stands against it; the rollout then goes its way. Throws `bad_request`, `model_not_found`, `model_not_loaded`, `memory`. */
  async rollout({ load = {}, ...options }: RolloutOptions): Promise<Rollout> {
    const {
      alias,
      to,
      onEvent: _,
      steps: _1,
      holdMs: _2,
      guards: _3,
      progressDeadlineMs: _4,
      ...unknown
    } = options
    const [option] = Object.keys(unknown)
    if (option !== undefined) throw new EngineError('bad_request', `rollout has no option ${option}.`)
    this.#refuseMoving(alias)
    const from = this.#onlyVersion(alias)
    if (to === from) throw new EngineError('bad_request', `${alias} is at ${to} already.`)
    const isLoaded = this.directory.info(to) !== undefined
    const { clock } = this.#ports
    const rollout = new Rollout(options, from, {
      clock,
      warm: async (signal) => {
        if (!isLoaded) await this.load(to, { ...load, signal })
      },
      setTraffic: (traffic) => this.#aliases.set(alias, { ...this.#aliases.get(alias), traffic }),
      window: (id, since) => this.#traffic.live(id).since(since),
      listen: (listener) => this.#traffic.listen(listener),
      retire: (id) => this.#retire(id, id === to && isLoaded),
    })
    this.#rollouts.set(alias, rollout) // at once: the next one must find it
    this.directory.setOnTrial(to, true)
    void rollout.finished.then(() => this.#forget(rollout))
    try {
      if (!isLoaded) await this.#checkRoomBeside(from, to, leastReplicas(load))
    } catch (error) {
      this.#forget(rollout)
      throw error
    }
    rollout.start()
    return rollout
  }

  /** The workers are gone and all models with them. */
  lost(): void {
    this.directory.setLost()
    for (const rollout of this.#rollouts.values()) rollout.abort('the worker was lost')
  }

  #forget({ status: { alias, to } }: Rollout): void {
    this.#rollouts.delete(alias)
    this.directory.setOnTrial(to, false)
  }

  /** What the old version's KV cache takes, the new one's will take about. */
  async #checkRoomBeside(from: string, to: string, replicas: number): Promise<void> {
    const registered = this.directory.findRegistered(to)
    if (registered?.id !== to)
      throw new EngineError('model_not_found', `${to} is not known: register its index or load it first.`)
    const bytes = registered.bytes ?? (await this.#ports.host.folderBytes({ url: registered.url }))
    const kvBytes = this.directory.info(from)?.kvBytes ?? 0
    checkRoom(to, (bytes + kvBytes) * replicas, this.#besides(to), this.#ports.rolloutBudgetBytes)
  }

  #onlyVersion(alias: string): string {
    const weights = Object.entries(this.#aliases.get(alias).traffic).filter(([, weight]) => weight > 0)
    const [from] = weights.map(([id]) => id)
    if (weights.length !== 1 || from === undefined)
      throw new EngineError('bad_request', `${alias} is split: set it to one version first.`)
    if (this.directory.info(from) !== undefined) return from
    throw new EngineError('model_not_loaded', `${from}, which ${alias} stands for, is not loaded.`)
  }

  /** A version that somebody else sends requests to stays. */
  async #retire(id: string, isToStay: boolean): Promise<void> {
    const isNeeded = isToStay || this.#aliases.uses(id) || this.directory.isSetDefault(id)
    if (!isNeeded && this.directory.info(id) !== undefined) await this.unload(id, true)
  }

  #besides(id: string): Held[] {
    return this.directory
      .loaded()
      .filter((info) => info.id !== id)
      .map((info) => ({ id: info.id, bytes: modelBytes(info) * (this.#replicas.get(info.id) ?? 1) }))
  }

  #refuseMoving(alias: string): void {
    if (this.#rollouts.has(alias))
      throw new EngineError('bad_request', `${alias} is being rolled out: wait, or abort that first.`)
  }
}

/** Those of a range that the load brings about stop at the budget by themselves. */
function leastReplicas({ replicas = 1 }: Pick<HostLoadOptions, 'replicas'>): number {
  return Math.max(1, typeof replicas === 'object' ? replicas.min : replicas)
}
