import type { Request, ModelIndex, ModelInfo, VersionPolicy } from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import type { AliasOptions } from './alias-table.ts'
import { AliasTable } from './alias-table.ts'
import type { Clock } from './clock.ts'
import type { AskRemote, Listener } from './dispatcher.ts'
import { Dispatcher } from './dispatcher.ts'
import type { Held } from './memory-budget.ts'
import { checkRoom, hasGivenBack, heldOf, leastReplicas, modelBytes } from './memory-budget.ts'
import type { VersionStatus } from './model-directory.ts'
import { ModelDirectory } from './model-directory.ts'
import type { HostLoadOptions, HostSource, ModelHost } from './model-host.ts'
import type { RemoteReport } from './remote-traffic.ts'
import { RemoteTraffic } from './remote-traffic.ts'
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
  /** Most bytes of all loaded models together, those of other tabs with them; a load beyond it is refused. */
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
  readonly #remote: RemoteTraffic
  readonly #dispatcher: Dispatcher
  readonly #rollouts = new Map<string, Rollout>()

  constructor(ports: ControlPorts) {
    this.#ports = ports
    this.#aliases = new AliasTable(ports.random)
    this.#traffic = new VersionTraffic(() => ports.clock.now())
    this.#remote = new RemoteTraffic(() => ports.clock.now())
    const { host, askRemote } = ports
    const parts = {
      directory: this.directory,
      aliases: this.#aliases,
      traffic: this.#traffic,
      remote: this.#remote,
    }
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
        const besides = await this.#besides(id, source.url)
        checkRoom(id, bytes * leastReplicas(options), besides, memoryBudgetBytes)
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
      await this.checkScale(info.id, leastReplicas(options))
      return info
    } catch (error) {
      await this.unload(info.id, false)
      throw error
    }
  }

  /** Gives the id of a loaded model. Throws `memory` where so many replicas of it do not fit. */
  async checkScale(name: string, replicas: number): Promise<string> {
    const id = this.directory.resolve(name)
    const info = this.directory.info(id)
    const { memoryBudgetBytes } = this.#ports
    if (info !== undefined && memoryBudgetBytes !== Infinity)
      checkRoom(id, modelBytes(info) * replicas, await this.#besides(id, info.url), memoryBudgetBytes)
    return id
  }

  /** Gives the id of a model that is to wake. Throws `memory` where what it gave back does not fit any more. */
  async checkWake(name: string): Promise<string> {
    const id = this.directory.resolve(name)
    const found = (await this.#ports.host.held()).find(({ info }) => info.id === id)
    if (found !== undefined && hasGivenBack(found)) await this.checkScale(id, leastReplicas(found.scaling))
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

  remoteReports(): readonly RemoteReport[] {
    return this.#remote.reports()
  }

  submit(request: Request, stickyKey: string | undefined, listener: Listener): () => void {
    return this.#dispatcher.submit(request, stickyKey, listener)
  }

  /** The version that a name, or an alias with this key, stands for now; else the name itself. */
  versionOf(name: string, stickyKey: string | undefined): string {
    return this.#aliases.route(name, stickyKey)?.model ?? this.directory.resolve(name)
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
    const besides = await this.#besides(to, registered.url)
    checkRoom(to, (bytes + kvBytes) * replicas, besides, this.#ports.rolloutBudgetBytes)
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

  /** What is loaded but for one model, which may be known by its address only; by other tabs too. */
  async #besides(id: string, url: string): Promise<Held[]> {
    const all = await this.#ports.host.held()
    const others = all.filter(({ info }) => info.id !== id && info.url !== url)
    return others.filter((held) => !hasGivenBack(held)).map(heldOf)
  }

  #refuseMoving(alias: string): void {
    if (this.#rollouts.has(alias))
      throw new EngineError('bad_request', `${alias} is being rolled out: wait, or abort that first.`)
  }
}
