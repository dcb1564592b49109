import type { Load } from '../control/autoscaler.ts'
import { Autoscaler } from '../control/autoscaler.ts'
import type { FixedScaling } from '@tabserve/protocol'
import { resolveScaling } from './resolve-scaling.ts'

/** Longest time between two looks at a model that nobody asks for. */
const LOOK_MS = 1000

export interface ScalerPorts {
  readonly load: () => Omit<Load, 'now'>
  readonly scale: (replicas: number) => void
  /** How many of so many replicas memory has room for, beside other models' and as long as they are as they are. */
  readonly fit: (replicas: number) => number
}

/** How many replicas one model is to have, from what was asked for and, where that is a range or may be none, from its requests. */
export class Scaler {
  readonly #ports: ScalerPorts
  readonly #idleTimeoutMs: number | undefined
  #min: number
  #max: number
  #perReplica = 1
  #autoscaler: Autoscaler | undefined
  #timer: ReturnType<typeof setInterval> | undefined

  /** Throws `bad_request`. */
  constructor(scaling: FixedScaling, ports: ScalerPorts) {
    const { min, max, idleTimeoutMs } = resolveScaling(scaling)
    this.#min = min
    this.#max = max
    this.#idleTimeoutMs = idleTimeoutMs
    this.#ports = ports
  }

  get scaling(): FixedScaling {
    const idleTimeoutMs = this.#idleTimeoutMs
    return {
      replicas: { min: this.#min, max: this.#max },
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    }
  }

  /** Replicas that there may be at once. */
  get most(): number {
    return Math.max(1, this.#max)
  }

  /** Replicas of a model that somebody has asked for: when it is loaded, and when it is woken. */
  get awake(): number {
    return Math.max(1, this.#min)
  }

  /** Never more than so many from now on. */
  limit(most: number): void {
    this.#max = Math.min(this.#max, most)
    this.#min = Math.min(this.#min, most)
  }

  /** Begins to follow the load. @param perReplica requests that a replica answers at once. */
  start(perReplica: number): void {
    this.stop()
    this.#perReplica = perReplica
    const canSleep = this.#idleTimeoutMs !== undefined
    if (this.#min === this.#max && !canSleep) return
    this.#autoscaler = new Autoscaler({
      minReplicas: canSleep ? 0 : this.#min,
      maxReplicas: Math.max(1, this.#max),
      target: perReplica,
      ...(canSleep ? { idleTimeoutMs: this.#idleTimeoutMs } : {}),
    })
    this.#timer = setInterval(() => this.look(), Math.min(LOOK_MS, (this.#idleTimeoutMs ?? Infinity) / 4))
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#autoscaler = undefined
  }

  /** From now on exactly so many; of 0, one when it is woken. */
  pin(replicas: number): void {
    this.#min = this.#max = Math.max(1, replicas)
    this.start(this.#perReplica)
  }

  /** Looks at the load; called whenever it changes, and now and then while it does not. */
  look(): void {
    const load = this.#ports.load()
    const desired = this.#autoscaler?.observe({ now: performance.now(), ...load })
    if (desired === undefined) return
    const replicas = desired === 0 ? 0 : Math.max(1, this.#min, this.#ports.fit(desired))
    if (replicas !== load.replicas) this.#ports.scale(replicas)
  }
}
