import type { ModelInfo } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { compareVersions } from './version-policy.ts'

/** Triton's words. */
export type ModelState = 'UNAVAILABLE' | 'LOADING' | 'READY' | 'UNLOADING'

/** One version of a model, as the page knows it. */
export interface VersionStatus {
  /** `name@version`. */
  readonly id: string
  readonly name: string
  readonly version: string
  readonly url: string
  readonly state: ModelState
  /** Why the last load failed. */
  readonly reason?: EngineError
  /** Whether requests that name the model only go here. */
  readonly isDefault: boolean
}

/** A version that an index lists. */
export interface RegisteredVersion {
  readonly version: string
  readonly url: string
  /** All files; unknown until the manifest is read. */
  readonly bytes?: number
}

interface Entry extends RegisteredVersion {
  readonly name: string
  /** Stays when it is unloaded. */
  isRegistered: boolean
  state: ModelState
  reason?: EngineError | undefined
  info?: ModelInfo | undefined
}

/** The versions that are registered or loaded, and which of them a model's name stands for. */
export class ModelDirectory {
  readonly #entries = new Map<string, Entry>()
  readonly #defaults = new Map<string, string>()
  /** Being rolled out: only who is sent there on purpose shall meet them. */
  readonly #onTrial = new Set<string>()

  register(name: string, versions: readonly RegisteredVersion[]): void {
    for (const entry of this.#named(name)) this.#forget(entry)
    for (const version of versions) {
      const known = this.#entries.get(`${name}@${version.version}`)
      const { state, reason, info } = known ?? { state: 'UNAVAILABLE' as const }
      const entry: Entry = { ...version, name, isRegistered: true, state, reason, info }
      this.#entries.set(idOf(entry), entry)
    }
  }

  /** What is loaded stays. Throws `model_not_found`. */
  unregister(name: string): void {
    const entries = this.#named(name)
    if (!entries.some(({ isRegistered }) => isRegistered)) throw notFound(name, this.#registered())
    for (const entry of entries) this.#forget(entry)
    if (this.#named(name).length === 0) this.#defaults.delete(name)
  }

  list(): VersionStatus[] {
    return [...this.#entries.values()].map((entry) => ({
      id: idOf(entry),
      name: entry.name,
      version: entry.version,
      url: entry.url,
      state: entry.state,
      ...(entry.reason === undefined ? {} : { reason: entry.reason }),
      isDefault: this.resolve(entry.name) === idOf(entry),
    }))
  }

  /** Throws `model_not_found`. */
  setDefault(name: string, version: string): void {
    if (!this.#entries.has(`${name}@${version}`))
      throw notFound(`${name}@${version}`, [...this.#entries.keys()])
    this.#defaults.set(name, version)
  }

  isSetDefault(id: string): boolean {
    const entry = this.#entries.get(id)
    return entry !== undefined && this.#defaults.get(entry.name) === entry.version
  }

  setOnTrial(id: string, onTrial: boolean): void {
    if (onTrial) this.#onTrial.add(id)
    else this.#onTrial.delete(id)
  }

  isName(name: string): boolean {
    return this.#named(name).length > 0
  }

  /**
   * The version that a name stands for: the one set as default; else the newest that is ready, or of an index the newest at all; else the
   * name itself, as of several loaded versions that no index lists. Whoever gets that says what is wrong with it.
   */
  resolve(name: string): string {
    if (this.#entries.has(name)) return name
    const version = this.#defaults.get(name)
    if (version !== undefined) return `${name}@${version}`
    const candidates = this.#named(name)
      .filter((entry) => !this.#onTrial.has(idOf(entry)))
      .sort((one, other) => compareVersions(other.version, one.version))
    const ready = candidates.filter(({ state }) => state === 'READY')
    const isListed = candidates.some(({ isRegistered }) => isRegistered)
    const chosen = isListed ? (ready[0] ?? candidates[0]) : ready.length === 1 ? ready[0] : undefined
    return chosen === undefined ? name : idOf(chosen)
  }

  /** A registered version, by name, `name@version` or address. */
  findRegistered(source: string): (RegisteredVersion & { readonly id: string }) | undefined {
    const byName = this.#entries.get(this.resolve(source))
    const entry = byName ?? [...this.#entries.values()].find(({ url }) => url === source)
    return entry?.isRegistered === true ? { ...entry, id: idOf(entry) } : undefined
  }

  info(id: string): ModelInfo | undefined {
    return this.#entries.get(id)?.info
  }

  /** Why a version could not be loaded, if that was tried last. */
  failure(id: string): EngineError | undefined {
    return this.#entries.get(id)?.reason
  }

  loaded(): ModelInfo[] {
    return [...this.#entries.values()].flatMap(({ info }) => info ?? [])
  }

  setState(id: string, state: ModelState, reason?: EngineError): void {
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    entry.state = state
    entry.reason = reason
    if (state !== 'UNAVAILABLE') return
    entry.info = undefined
    this.#forgetUnless(entry)
  }

  setReady(info: ModelInfo): void {
    const { name, version } = info.manifest
    const known = this.#entries.get(info.id)
    const url = info.url
    const entry: Entry = { isRegistered: false, ...known, name, version, url, state: 'READY', info }
    entry.reason = undefined
    this.#entries.set(info.id, entry)
  }

  /** The workers are gone and all models with them. */
  setLost(): void {
    for (const [id, { state }] of this.#entries) if (state !== 'UNAVAILABLE') this.setState(id, 'UNAVAILABLE')
  }

  #forget(entry: Entry): void {
    entry.isRegistered = false
    this.#forgetUnless(entry)
  }

  /** What is neither listed nor there is not known any more. */
  #forgetUnless(entry: Entry): void {
    if (!entry.isRegistered && entry.state === 'UNAVAILABLE') this.#entries.delete(idOf(entry))
  }

  #named(name: string): Entry[] {
    return [...this.#entries.values()].filter((entry) => entry.name === name)
  }

  #registered(): string[] {
    const registered = [...this.#entries.values()].filter(({ isRegistered }) => isRegistered)
    return [...new Set(registered.map(({ name }) => name))]
  }
}

function idOf({ name, version }: Pick<Entry, 'name' | 'version'>): string {
  return `${name}@${version}`
}

function notFound(name: string, known: readonly string[]): EngineError {
  const there = known.join(', ') || 'none'
  return new EngineError(
    'model_not_found',
    `${name} is not known: register or load it first. Known: ${there}.`,
  )
}
