import { EngineError } from '@tabserve/protocol'

/** How many replicas of a model there should be. Words and defaults follow Kubernetes' HPA, KServe and Knative. */
export interface AutoscalerPolicy {
  /** Default 0: a model that nobody asks for may go away. */
  readonly minReplicas?: number
  /** Default 1. */
  readonly maxReplicas?: number
  /** Requests, running and queued, that one replica is meant for. Default 8, as `maxRunning`. */
  readonly target?: number
  /** More replicas only where every moment of so many milliseconds asked for them. Default 0: at once. */
  readonly scaleUpStabilizationMs?: number
  /** Fewer replicas only where no moment of so many milliseconds asked for more. Default 30 000. */
  readonly scaleDownStabilizationMs?: number
  /** The last replica goes after so many milliseconds without a request, where `minReplicas` is 0. Default: never. */
  readonly idleTimeoutMs?: number
  /** Bytes of one replica and of all together: there are never more than fit. Default: any. */
  readonly replicaBytes?: number
  readonly memoryBudgetBytes?: number
}

/** What a model does at a moment. */
export interface Load {
  /** Milliseconds, never going back. */
  readonly now: number
  readonly queued: number
  readonly running: number
  /** That are there or being started. */
  readonly replicas: number
}

/** Holds until the next one begins. */
interface Recommendation {
  readonly from: number
  readonly replicas: number
}

/** Decides from load alone; whoever asks it starts and stops the replicas. */
export class Autoscaler {
  readonly #min: number
  readonly #max: number
  readonly #target: number
  readonly #upMs: number
  readonly #downMs: number
  readonly #idleMs: number
  /** Of the longer window, oldest first. */
  #past: readonly Recommendation[] = []
  /** Since when there has been no request. */
  #idleSince: number | undefined

  /** Throws `bad_request`. */
  constructor(policy: AutoscalerPolicy = {}) {
    checkPolicy(policy)
    const { minReplicas = 0, maxReplicas = Math.max(1, minReplicas), target = 8 } = policy
    const { replicaBytes = 0, memoryBudgetBytes = Infinity } = policy
    const fitting = replicaBytes === 0 ? Infinity : Math.floor(memoryBudgetBytes / replicaBytes)
    this.#max = Math.min(maxReplicas, fitting)
    this.#min = Math.min(minReplicas, this.#max)
    this.#target = target
    this.#upMs = policy.scaleUpStabilizationMs ?? 0
    this.#downMs = policy.scaleDownStabilizationMs ?? 30_000
    this.#idleMs = policy.idleTimeoutMs ?? Infinity
  }

  /** How many replicas there should be now. Ask it whenever load changes, and now and then while it does not. */
  observe({ now, queued, running, replicas }: Load): number {
    const load = queued + running
    this.#idleSince = load > 0 ? undefined : (this.#idleSince ?? now)
    const isIdle = load === 0 && now - (this.#idleSince ?? now) >= this.#idleMs
    // One stays until its idle timeout, whatever the window says.
    const floor = Math.max(this.#min, isIdle || replicas + load === 0 ? 0 : 1)
    const recommended = Math.min(this.#max, Math.max(floor, Math.ceil(load / this.#target)))
    this.#remember(now, recommended, replicas)
    if (recommended === 0 || replicas === 0) return recommended // nothing to stabilise at the edge of nothing
    const up = Math.min(...this.#within(now, this.#upMs))
    const down = Math.max(...this.#within(now, this.#downMs))
    return Math.min(this.#max, Math.min(down, Math.max(up, replicas)))
  }

  #remember(now: number, recommended: number, replicas: number): void {
    // What was there before we were asked counts as recommended.
    const past = this.#past.length === 0 ? [{ from: now, replicas }] : this.#past
    const changed = past.at(-1)?.replicas !== recommended
    const all = changed ? [...past, { from: now, replicas: recommended }] : past
    this.#past = this.#reaching(all, now, Math.max(this.#upMs, this.#downMs))
  }

  #within(now: number, windowMs: number): number[] {
    return this.#reaching(this.#past, now, windowMs).map(({ replicas }) => replicas)
  }

  /** Those that held at some moment of the window; the last one holds now. */
  #reaching(all: readonly Recommendation[], now: number, windowMs: number): Recommendation[] {
    return all.filter((_, index) => (all[index + 1]?.from ?? Infinity) > now - windowMs)
  }
}

function checkPolicy(policy: AutoscalerPolicy): void {
  for (const [name, value] of Object.entries(policy)) {
    if (!Object.hasOwn(LEAST, name))
      throw new EngineError('bad_request', `An autoscaler has no option ${name}.`)
    const least = LEAST[name as keyof AutoscalerPolicy]
    const isWhole = !name.endsWith('Replicas') || Number.isInteger(value)
    if (!(typeof value === 'number' && value >= least && isWhole))
      throw new EngineError('bad_request', `${name} ${String(value)} must be a number from ${least}.`)
  }
  const { minReplicas = 0, maxReplicas = Infinity } = policy
  if (minReplicas > maxReplicas)
    throw new EngineError('bad_request', `minReplicas ${minReplicas} is above maxReplicas ${maxReplicas}.`)
}

const LEAST: Readonly<Record<keyof AutoscalerPolicy, number>> = {
  minReplicas: 0,
  maxReplicas: 1,
  target: 1,
  scaleUpStabilizationMs: 0,
  scaleDownStabilizationMs: 0,
  idleTimeoutMs: 0,
  replicaBytes: 0,
  memoryBudgetBytes: 0,
}
