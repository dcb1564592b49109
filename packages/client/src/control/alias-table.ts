import { EngineError } from '@tabserve/protocol'
import type { FallbackOptions } from './fallback.ts'
import { checkFallback } from './fallback.ts'
import type { Traffic } from './traffic-split.ts'
import { checkTraffic, chooseVersion } from './traffic-split.ts'

/** What a name that stands for versions does with requests. */
export interface AliasOptions {
  /** `name@version` and the share of requests that it gets; shares are of their sum. */
  readonly traffic: Traffic
  /** Hashed together with a request's `stickyKey`: two experiments split the same keys differently. Default: the alias. */
  readonly experiment?: string
  /** A version that gets a copy of the requests; its answers are thrown away, its metrics are kept. */
  readonly shadow?: {
    readonly model: string
    /** Of the requests. Default 100. */
    readonly percent?: number
  }
  /** A server that is asked where this tab cannot answer. Default: none; nothing leaves the device. */
  readonly fallback?: FallbackOptions
}

/** Where one request of an alias goes. */
export interface AliasRoute {
  readonly model: string
  readonly shadow?: string
  readonly fallback?: FallbackOptions
}

/** The aliases and their traffic. */
export class AliasTable {
  readonly #aliases = new Map<string, AliasOptions>()
  readonly #random: () => number

  /** @param random draws from [0, 1), for requests without a key. */
  constructor(random: () => number) {
    this.#random = random
  }

  /** Throws `bad_request`. */
  set(name: string, options: AliasOptions): void {
    if (!/^[\w.-]+$/.test(name))
      throw new EngineError('bad_request', `The alias ${JSON.stringify(name)} must match /^[\\w.-]+$/.`)
    const { traffic, experiment, shadow, fallback, ...unknown } = options
    const [option] = Object.keys(unknown)
    if (option !== undefined) throw new EngineError('bad_request', `An alias has no option ${option}.`)
    checkTraffic(traffic)
    if (shadow !== undefined) checkShadow(shadow)
    if (fallback !== undefined) checkFallback(fallback)
    this.#aliases.set(name, options)
  }

  /** Throws `model_not_found`. */
  get(name: string): AliasOptions {
    const alias = this.#aliases.get(name)
    if (alias !== undefined) return alias
    const there = [...this.#aliases.keys()].join(', ') || 'none'
    throw new EngineError('model_not_found', `There is no alias ${name}. Aliases: ${there}.`)
  }

  remove(name: string): void {
    this.get(name)
    this.#aliases.delete(name)
  }

  list(): ReadonlyMap<string, AliasOptions> {
    return new Map(this.#aliases)
  }

  has(name: string): boolean {
    return this.#aliases.has(name)
  }

  /** Whether some alias sends anything to a version. */
  uses(id: string): boolean {
    return [...this.#aliases.values()].some(
      ({ traffic, shadow }) => (traffic[id] ?? 0) > 0 || shadow?.model === id,
    )
  }

  /** `undefined` for a name that is no alias. Without a key every request is drawn anew. */
  route(name: string, stickyKey: string | undefined): AliasRoute | undefined {
    const alias = this.#aliases.get(name)
    if (alias === undefined) return undefined
    const { traffic, experiment = name, shadow, fallback } = alias
    const isShadowed = shadow !== undefined && 100 * this.#random() < (shadow.percent ?? 100)
    return {
      model: chooseVersion(traffic, experiment, stickyKey ?? String(this.#random())),
      ...(isShadowed ? { shadow: shadow.model } : {}),
      ...(fallback === undefined ? {} : { fallback }),
    }
  }
}

function checkShadow({ model, percent = 100, ...unknown }: NonNullable<AliasOptions['shadow']>): void {
  const [option] = Object.keys(unknown)
  if (option !== undefined) throw new EngineError('bad_request', `shadow has no option ${option}.`)
  checkTraffic({ [model]: 1 })
  if (!(percent >= 0 && percent <= 100))
    throw new EngineError('bad_request', `shadow.percent ${String(percent)} must be from 0 to 100.`)
}
