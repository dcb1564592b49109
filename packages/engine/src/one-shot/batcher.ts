import type { BatchCosts } from './batch-costs.ts'
import type { Batching } from './batch-options.ts'
import type { Waiting } from './request-queue.ts'
import { RequestQueue } from './request-queue.ts'

/** What a batcher puts together. */
export interface Batchable extends Waiting {
  readonly rows: number
  /** Only items of one kind go together. `undefined`: it goes alone. */
  readonly kind: string | undefined
}

/** Whether an item may join those that are in a batch already. */
export type CanJoin<Item> = (item: Item, batch: readonly Item[]) => boolean

/** What to do now. `wait`: nothing before that moment, unless another request comes. */
export type BatchPlan<Item> =
  | { readonly type: 'run'; readonly batch: readonly Item[] }
  | { readonly type: 'wait'; readonly until: number }
  | { readonly type: 'idle' }

/** Who is computed together, and when. Plain functions of what waits, the clock and what runs have cost. */
export class Batcher<Item extends Batchable> {
  readonly #options: Batching
  readonly #costs: BatchCosts
  readonly #canJoin: CanJoin<Item>
  readonly #queue: RequestQueue<Item>

  constructor(options: Batching, costs: BatchCosts, canJoin: CanJoin<Item> = () => true) {
    this.#options = options
    this.#costs = costs
    this.#canJoin = canJoin
    this.#queue = new RequestQueue(options.policyOf)
  }

  get numWaiting(): number {
    return this.#queue.length
  }

  /** Throws `queue_full`. */
  add(item: Item, now: number): void {
    this.#queue.add(item, now)
  }

  remove(item: Item): void {
    this.#queue.remove([item])
  }

  /** Takes out whose time has passed. */
  expire(now: number): Item[] {
    return this.#queue.expire(now)
  }

  /** To be asked after `expire`. Those that are to run wait no more. */
  plan(now: number): BatchPlan<Item> {
    const { batch, rows, oldest } = this.#gather()
    const [head] = batch
    if (head === undefined) return { type: 'idle' }
    const size = this.#sizeToRun(head, rows)
    if (size !== undefined) return this.#run(firstRows(batch, size))
    const until = oldest + this.#options.maxQueueDelayMs
    if (now >= until) return this.#run(batch)
    return { type: 'wait', until: Math.min(until, this.#queue.nextDeadline()) }
  }

  /** Who goes with the first in line: all of its kind that fit. */
  #gather(): { batch: Item[]; rows: number; oldest: number } {
    const { maxBatchSize, preserveOrdering } = this.#options
    const batch: Item[] = []
    let [rows, oldest] = [0, Infinity]
    for (const { item, since } of this.#queue.inOrder()) {
      const [head] = batch
      const joins =
        head === undefined ||
        (head.kind !== undefined &&
          item.kind === head.kind &&
          rows + item.rows <= maxBatchSize &&
          this.#canJoin(item, batch))
      if (joins) {
        batch.push(item)
        rows += item.rows
        oldest = Math.min(oldest, since)
      }
      if ((!joins && preserveOrdering) || rows >= maxBatchSize) break
    }
    return { batch, rows, oldest }
  }

  /** How many rows to compute at once; `undefined`: wait for more. */
  #sizeToRun({ kind }: Item, rows: number): number | undefined {
    const { maxBatchSize, preferredBatchSizes, maxQueueDelayMs } = this.#options
    if (kind === undefined) return rows
    const best = this.#costs.most(kind, rows)
    if (best < rows) return best
    const preferred = preferredBatchSizes.find((size) => size <= rows)
    if (preferred !== undefined) return preferred
    // What comes later could not be computed with these.
    const isFull = rows >= this.#costs.most(kind, maxBatchSize)
    return isFull || maxQueueDelayMs === 0 ? rows : undefined
  }

  #run(batch: readonly Item[]): BatchPlan<Item> {
    this.#queue.remove(batch)
    return { type: 'run', batch }
  }
}

/** The first of a batch, as many as have so many rows together; one at least. */
function firstRows<Item extends Batchable>(batch: readonly Item[], most: number): Item[] {
  let rows = 0
  const end = batch.findIndex((item) => (rows += item.rows) > most)
  return batch.slice(0, end < 0 ? batch.length : Math.max(1, end))
}
