import type { Answer, BrokerEvent, DeviceReport, HubApi } from '@tabserve/protocol'
import { EngineError, unpack } from '@tabserve/protocol'
import type { Host, Role } from '../host.ts'
import { disposed } from '../host.ts'
import type { HubOptions } from '../hub.ts'
import { Hub } from '../hub.ts'
import { Link, serveCalls } from '../link.ts'
import { awaitLock } from '../worker-link.ts'
import { watch } from '../watch.ts'
import { BrokerPort } from './broker-port.ts'
import { LeaderLock } from './leader-lock.ts'
import { SharedHub } from './shared-hub.ts'
import { groupOf, hasOtherTabs, holdLock, newTabLock } from './tab-locks.ts'

/** Before a tab that could not take over tries again. */
const REJOIN_MS = 1000

/** Whoever answers calls now: the hub in this tab, or the way to the leader's. */
type Current = Pick<Host, 'call' | 'device'>

/**
 * One of several tabs that share an engine. All of them queue for one lock; who holds it leads: it has the workers, and the others' calls come to it
 * through ports that the broker handed over. Requests go from a tab to the worker and back without the leader in between.
 */
export class TabHost implements Host {
  readonly #options: HubOptions
  readonly #tab: string
  readonly #lock: LeaderLock
  readonly #letGoOfLife: () => void
  #broker: BrokerPort | undefined
  #role: Role = 'follower'
  #current: Promise<Current>
  #device: DeviceReport | undefined
  /** Where this tab follows. */
  #link: Link<HubApi> | undefined
  #stopWatching = () => {}
  /** Where this tab leads. */
  #hub: Hub | undefined
  #shared: Promise<SharedHub> | undefined
  #isAcquainted = false
  #isDisposed = false
  readonly #group: string
  #settle: { resolve(current: Current): void; reject(error: unknown): void } = { resolve() {}, reject() {} }

  /** `undefined` where tabs cannot share: no shared workers, no Web Locks. Throws `engine_lost` when a worker's script cannot be run. */
  static async create(
    options: HubOptions,
    makeBroker: (name: string) => SharedWorker,
  ): Promise<TabHost | undefined> {
    if (navigator.locks === undefined || typeof SharedWorker === 'undefined') return undefined
    const group = await groupOf(options)
    const host = new TabHost(options, group)
    host.#broker = await BrokerPort.open(
      () => makeBroker(`tabserve ${group}`),
      (event) => host.#take(event),
    )
    if (host.#broker === undefined) return undefined
    if (!(await host.#lock.tryNow())) {
      host.#follow()
      host.#lock.queue()
    }
    try {
      host.#device = (await host.#current).device
    } catch (error) {
      host.dispose()
      throw error
    }
    return host
  }

  private constructor(options: HubOptions, group: string) {
    this.#options = options
    this.#group = group
    this.#tab = newTabLock(group)
    this.#letGoOfLife = holdLock(this.#tab)
    this.#current = this.#pending()
    this.#lock = new LeaderLock(
      `tabserve-leader ${group}`,
      () => this.#lead(),
      () => this.#abdicate(),
    )
  }

  get role(): Role {
    return this.#role
  }

  /** Of the tab that led when this one came. */
  get device(): DeviceReport {
    if (this.#device === undefined) throw new Error('a tab was asked before it had joined')
    return this.#device
  }

  async call<T>(method: (api: HubApi) => Promise<Answer<T>>): Promise<T> {
    if (this.#isDisposed) throw disposed()
    return (await this.#current).call(method)
  }

  /** The engine goes on in another tab, where there is one. */
  dispose(): void {
    if (this.#isDisposed) return
    this.#isDisposed = true
    this.#stopWatching()
    this.#link?.die(disposed())
    this.#settle.reject(disposed())
    void this.#leave()
  }

  async #leave(): Promise<void> {
    this.#letGoOfLife()
    if (this.#role === 'leader' && !(await hasOtherTabs(this.#group, this.#tab)))
      this.#broker?.tell({ type: 'hold', held: [] })
    this.#hub?.dispose()
    this.#lock.release()
    this.#broker?.close()
  }

  #take(event: BrokerEvent): void {
    if (event.type === 'leading') void this.#begin(event.held)
    else if (event.type === 'connect') void this.#serve(event.tab, event.port)
    else if (event.type === 'leader-changed' && this.#role === 'follower') this.#follow()
  }

  /** Calls wait from now on until there is somebody to answer them. */
  #pending(): Promise<Current> {
    const current = new Promise<Current>((resolve, reject) => (this.#settle = { resolve, reject }))
    current.catch(() => {}) // whoever calls hears of it
    return current
  }

  #follow(): void {
    this.#role = 'follower'
    this.#forgetLeader()
    const { port1, port2 } = new MessageChannel()
    const link = (this.#link = new Link<HubApi>(port1))
    // A leader that does not answer for as long as a worker may hang loses the lock.
    this.#stopWatching = watch({
      hangTimeoutMs: () => this.#options.hangTimeoutMs,
      pulse: () => link.call((api) => api.device()).then(() => ({ busy: false, progress: 0 })),
      onHung: () => this.#lock.steal(),
    })
    this.#broker?.tell({ type: 'connect', tab: this.#tab, port: port2 }, port2)
    const { resolve } = this.#settle
    link
      .call((api) => api.device())
      .then(
        (device) => {
          this.#isAcquainted = true
          resolve({ device, call: (method) => link.call(method) })
        },
        () => {}, // then there is another leader, whom calls go on waiting for
      )
  }

  /** Whoever waits for the last leader hears that it is gone, and asks the next one. */
  #forgetLeader(): void {
    this.#stopWatching()
    const last = this.#link
    this.#link = undefined
    const { resolve, reject } = this.#settle
    const next = (this.#current = this.#pending())
    // Who was waiting for a leader that never answered waits for the next.
    void next.then(resolve, reject)
    last?.die(new EngineError('engine_lost', 'The tab that held the engine is gone. Try again.'))
  }

  /** The lock is ours. */
  #lead(): void {
    if (this.#isDisposed) return
    this.#role = 'leader'
    this.#forgetLeader()
    this.#broker?.tell({ type: 'lead' })
  }

  /** @param held what the last leader had loaded. */
  async #begin(held: Parameters<Hub['restore']>[0]): Promise<void> {
    const { resolve, reject } = this.#settle
    const shared = this.#startHub(held)
    shared.catch(() => {}) // `reject` tells
    this.#shared = shared
    try {
      const api = (await shared).apiFor(this.#tab)
      const { device } = this.#hub ?? {}
      if (device === undefined) throw disposed()
      resolve({ device, call: async (method) => unpack(await method(api)) })
    } catch (error) {
      this.#lock.release() // another tab may do better
      reject(error)
      if (this.#isAcquainted) setTimeout(() => this.#rejoin(), REJOIN_MS)
    }
  }

  async #startHub(held: Parameters<Hub['restore']>[0]): Promise<SharedHub> {
    const isNeeded = this.#isAcquainted || (await hasOtherTabs(this.#group, this.#tab))
    const hub = await Hub.create(this.#options)
    this.#hub = hub
    if (this.#isDisposed || this.#role !== 'leader') {
      hub.dispose()
      throw disposed()
    }
    if (isNeeded) hub.restore(held)
    const tell = () => {
      if (this.#hub === hub) this.#broker?.tell({ type: 'hold', held: hub.held() })
    }
    tell()
    return new SharedHub(hub, tell)
  }

  /** Answers another tab for as long as it lives. */
  async #serve(tab: string, port: MessagePort): Promise<void> {
    const shared = await this.#shared?.catch(() => undefined)
    if (shared === undefined) return port.close()
    serveCalls(shared.apiFor(tab), port)
    awaitLock(tab, () => {
      shared.leave(tab)
      port.close()
    })
  }

  /** Another tab took the lock, because this one was silent for too long. */
  #abdicate(): void {
    this.#hub?.dispose()
    this.#hub = undefined
    this.#shared = undefined
    this.#rejoin()
  }

  #rejoin(): void {
    if (this.#isDisposed) return
    this.#follow()
    this.#lock.queue()
  }
}
