import { EngineError } from '@tabserve/protocol'
import type { Policy } from './batch-options.ts'

/** What waits. */
export interface Waiting {
  readonly priority: number
  /** The request's own, shorter than its policy's or without effect. */
  readonly timeoutMs: number
}

interface Place<Item> {
  readonly item: Item
  readonly since: number
  readonly deadline: number
}

interface Level<Item> {
  readonly policy: Policy
  /** In the order in which they came. */
  fresh: Place<Item>[]
  /** Whose time has passed and who may wait on: behind the fresh ones. */
  late: Place<Item>[]
}

/** Who waits, by priority, then arrival, under the policy of each priority. Lower goes first. */
export class RequestQueue<Item extends Waiting> {
  readonly #policyOf: (priority: number) => Policy
  readonly #levels = new Map<number, Level<Item>>()
  #count = 0

  constructor(policyOf: (priority: number) => Policy) {
    this.#policyOf = policyOf
  }

  get length(): number {
    return this.#count
  }

  /** Throws `queue_full`. */
  add(item: Item, now: number): void {
    const level = this.#levelOf(item.priority)
    const { maxSize, timeoutMs } = level.policy
    const numWaiting = level.fresh.length + level.late.length
    if (numWaiting >= maxSize) throw queueFull(item.priority, maxSize)
    level.fresh.push({ item, since: now, deadline: now + Math.min(timeoutMs, item.timeoutMs) })
    this.#count++
  }

  remove(items: readonly Item[]): void {
    const gone = new Set(items)
    const isOther = ({ item }: Place<Item>) => !gone.has(item)
    for (const level of this.#levels.values()) {
      const before = level.fresh.length + level.late.length
      level.fresh = level.fresh.filter(isOther)
      level.late = level.late.filter(isOther)
      this.#count -= before - level.fresh.length - level.late.length
    }
  }

  /** Takes those out whose time has passed and who may not wait on. */
  expire(now: number): Item[] {
    const rejected: Item[] = []
    for (const level of this.#levels.values()) {
      const over = level.fresh.filter(({ deadline }) => deadline <= now)
      if (over.length === 0) continue
      level.fresh = level.fresh.filter(({ deadline }) => deadline > now)
      if (level.policy.timeoutAction === 'delay') level.late.push(...over)
      else {
        rejected.push(...over.map(({ item }) => item))
        this.#count -= over.length
      }
    }
    return rejected
  }

  /** When the next one's time passes; `Infinity`: never. */
  nextDeadline(): number {
    let next = Infinity
    for (const { fresh } of this.#levels.values())
      for (const { deadline } of fresh) next = Math.min(next, deadline)
    return next
  }

  /** In the order in which they go, with the moment since when each waits. */
  *inOrder(): Generator<{ readonly item: Item; readonly since: number }> {
    const levels = [...this.#levels].sort(([one], [other]) => one - other)
    for (const [, { fresh, late }] of levels) {
      yield* fresh
      yield* late
    }
  }

  #levelOf(priority: number): Level<Item> {
    const known = this.#levels.get(priority)
    if (known !== undefined) return known
    const level: Level<Item> = { policy: this.#policyOf(priority), fresh: [], late: [] }
    this.#levels.set(priority, level)
    return level
  }
}

function queueFull(priority: number, maxSize: number): EngineError {
  const message = `${maxSize} requests of priority ${priority} wait already, as many as may. Try again later, or raise the queue's maxSize.`
  return new EngineError('queue_full', message)
}
