import { toWireError } from '@tabserve/protocol'
import type { Clock } from './clock.ts'
import type { HostLoadOptions } from './model-host.ts'
import type { RolloutGuards } from './rollout-guards.ts'
import { brokenGuard, checkGuards, minRequestsOf } from './rollout-guards.ts'
import type { RolloutStepOptions } from './rollout-steps.ts'
import { RolloutSteps } from './rollout-steps.ts'
import type { Traffic } from './traffic-split.ts'
import type { TrafficWindow } from './version-metrics.ts'

/** How an alias is moved from one version to another. */
export interface RolloutOptions extends RolloutStepOptions {
  /** Its traffic must go to one version now: that is the old one. */
  readonly alias: string
  /** The new version: `name@version`, registered or loaded. */
  readonly to: string
  readonly guards?: RolloutGuards
  /** How the new version is loaded, where it is not loaded yet. */
  readonly load?: Omit<HostLoadOptions, 'signal'>
  readonly onEvent?: (event: RolloutEvent) => void
}

/** Flagger's words. `finalising`: the version that lost is drained and unloaded. */
export type RolloutPhase = 'initializing' | 'progressing' | 'finalising' | 'succeeded' | 'failed'

/** Where a rollout stands. */
export interface RolloutStatus {
  readonly alias: string
  readonly from: string
  readonly to: string
  readonly phase: RolloutPhase
  /** Percent of the traffic that the new version gets. */
  readonly weight: number
  /** Why it was rolled back. */
  readonly reason?: string
}

/** What happened in a rollout, and where it stands now. */
export interface RolloutEvent extends RolloutStatus {
  /**
   * `rollout-warm`: the new version is ready beside the old one. `rollout-step`: it has a larger share. `rollout-promote`: it has all of it for good.
   * `rollout-rollback`: the old one has, and `reason` says why. `rollout-finish`: the other version is drained, and unloaded if nothing else needs it.
   */
  readonly type: 'rollout-warm' | 'rollout-step' | 'rollout-promote' | 'rollout-rollback' | 'rollout-finish'
}

/** What a rollout does to the world. */
export interface RolloutPorts {
  readonly clock: Clock
  /** Resolves once the new version is warm, at once where it was loaded. */
  warm(signal: AbortSignal): Promise<void>
  setTraffic(traffic: Traffic): void
  /** What a version's requests have seen since a moment of the clock. */
  window(id: string, since: number): TrafficWindow
  /** Calls back whenever a request has ended. Returns how to stop that. */
  listen(listener: () => void): () => void
  /** Waits for a version's requests to end, then unloads it if nothing needs it. */
  retire(id: string): Promise<void>
}

/** Moves an alias from one version to another in steps, and back by itself when the new one breaks a guard. No request is dropped either way. */
export class Rollout {
  /** Resolves when all is over, also when it was rolled back: see `phase` and `reason`. Never rejects. */
  readonly finished: Promise<RolloutStatus>
  readonly #ports: RolloutPorts
  readonly #steps: RolloutSteps
  readonly #guards: RolloutGuards
  readonly #onEvent: (event: RolloutEvent) => void
  readonly #abort = new AbortController()
  #status: RolloutStatus
  #finish: (status: RolloutStatus) => void = () => {}
  /** Never rejects: what went wrong is in the status. */
  #warmed = Promise.resolve()
  #stopListening = () => {}
  #stopTimer = () => {}

  /** Throws `bad_request`. Nothing happens before `start`. */
  constructor(options: Omit<RolloutOptions, 'load'>, from: string, ports: RolloutPorts) {
    const { alias, to, guards = {}, onEvent = () => {} } = options
    checkGuards(guards)
    this.#steps = new RolloutSteps(options, minRequestsOf(guards))
    this.#guards = guards
    this.#onEvent = onEvent
    this.#ports = ports
    this.#status = { alias, from, to, phase: 'initializing', weight: 0 }
    this.finished = new Promise((resolve) => (this.#finish = resolve))
  }

  get status(): RolloutStatus {
    return this.#status
  }

  /** Begins; `Client.rollout` has called it. */
  start(): void {
    const failed = (error: unknown) =>
      this.abort(`the new version did not load: ${toWireError(error, 'backend_failed').message}`)
    this.#warmed = this.#ports.warm(this.#abort.signal).catch(failed)
    void this.#warmed.then(() => this.#status.phase === 'initializing' && this.#begin())
  }

  /** Gives the new version all traffic at once, whatever the steps left. */
  promote(): void {
    if (this.#status.phase === 'progressing') this.#promote()
  }

  /** Rolls back. */
  abort(reason = 'it was aborted'): void {
    if (this.#status.phase === 'progressing' || this.#status.phase === 'initializing') this.#rollBack(reason)
  }

  #begin(): void {
    this.#tell('rollout-warm', { phase: 'progressing' })
    this.#steps.begin(this.#ports.clock.now())
    this.#moveTo(this.#steps.weight)
    this.#stopListening = this.#ports.listen(() => this.#check())
    this.#wait()
  }

  #check(): void {
    const { clock, window } = this.#ports
    const { from, to } = this.#status
    const fresh = window(to, this.#steps.since)
    const broken = brokenGuard(this.#guards, fresh, window(from, -Infinity))
    const decision = this.#steps.next(clock.now(), broken, fresh.ended)
    if (decision.type === 'step') this.#moveTo(decision.weight)
    else if (decision.type === 'promote') this.#promote()
    else if (decision.type === 'rollback') this.#rollBack(decision.reason)
  }

  /** A version that answers nobody says nothing: so we look by the clock, too. */
  #wait(): void {
    this.#stopTimer = this.#ports.clock.after(this.#steps.intervalMs, () => {
      this.#check()
      if (this.#status.phase === 'progressing') this.#wait()
    })
  }

  #moveTo(weight: number): void {
    const { from, to } = this.#status
    this.#ports.setTraffic({ [from]: 100 - weight, [to]: weight })
    this.#tell('rollout-step', { weight })
  }

  #promote(): void {
    const { from, to } = this.#status
    this.#ports.setTraffic({ [to]: 100 })
    this.#tell('rollout-promote', { phase: 'finalising', weight: 100 })
    this.#end(from, 'succeeded')
  }

  #rollBack(reason: string): void {
    const { from, to } = this.#status
    this.#abort.abort()
    this.#ports.setTraffic({ [from]: 100 })
    this.#tell('rollout-rollback', { phase: 'finalising', weight: 0, reason })
    this.#end(to, 'failed')
  }

  #end(loser: string, phase: 'succeeded' | 'failed'): void {
    this.#stopTimer()
    this.#stopListening()
    const done = () => {
      this.#tell('rollout-finish', { phase })
      this.#finish(this.#status)
    }
    // It may be loading still. What cannot be unloaded was gone already.
    void this.#warmed.then(() => this.#ports.retire(loser)).then(done, done)
  }

  /** A listener that throws must not stop a rollout half-way. */
  #tell(type: RolloutEvent['type'], change: Partial<RolloutStatus>): void {
    this.#status = { ...this.#status, ...change }
    const event: RolloutEvent = { type, ...this.#status }
    queueMicrotask(() => this.#onEvent(event))
  }
}
