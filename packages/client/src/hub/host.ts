import type { Answer, DeviceReport, HubApi } from '@tabserve/protocol'
import { EngineError, unpack } from '@tabserve/protocol'
import type { HubOptions } from './hub.ts'
import { Hub } from './hub.ts'
import { hubApi } from './hub-api.ts'

/** `alone`: the workers are this tab's only. `leader`: this tab holds them for all. `follower`: another tab does. */
export type Role = 'alone' | 'leader' | 'follower'

/** Where a client's calls go. */
export interface Host {
  readonly device: DeviceReport
  readonly role: Role
  /** Calls whoever holds the workers and takes the answer apart. Throws what it answers, or `engine_lost`. */
  call<T>(method: (api: HubApi) => Promise<Answer<T>>): Promise<T>
  dispose(): void
}

/** The workers are this tab's own. */
export class OwnHost implements Host {
  readonly role = 'alone'
  readonly #hub: Hub
  readonly #api: HubApi
  #isDisposed = false

  /** Throws `engine_lost` when the worker's script cannot be run. */
  static async create(options: HubOptions): Promise<OwnHost> {
    return new OwnHost(await Hub.create(options))
  }

  private constructor(hub: Hub) {
    this.#hub = hub
    this.#api = hubApi(hub)
  }

  get device(): DeviceReport {
    return this.#hub.device
  }

  async call<T>(method: (api: HubApi) => Promise<Answer<T>>): Promise<T> {
    if (this.#isDisposed) throw disposed()
    return unpack(await method(this.#api))
  }

  dispose(): void {
    this.#isDisposed = true
    this.#hub.dispose()
  }
}

export function disposed(): EngineError {
  return new EngineError('engine_lost', 'The client was disposed of. Create another one.')
}
