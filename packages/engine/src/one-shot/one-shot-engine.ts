import type { Tensors } from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import { BatchCosts } from './batch-costs.ts'
import type { BatchLayout } from './batch-layout.ts'
import { kindOf, lengthOf, rowsOf } from './batch-layout.ts'
import type { Batching } from './batch-options.ts'
import type { Batchable } from './batcher.ts'
import { Batcher } from './batcher.ts'
import type { OneShotCounters } from './one-shot-counters.ts'
import { add } from './one-shot-counters.ts'
import type { OneShotReporter } from './one-shot-reporter.ts'
import { rowsEqual } from './rows-equal.ts'
import { joinItems, splitItems } from './tensor-rows.ts'

/** A hook of the worker file: whether an item may join those that are in a batch already. */
export type CanBatch = (item: BatchCandidate, batch: readonly BatchCandidate[]) => boolean

/** A request that might join a batch, as a hook sees it. */
export interface BatchCandidate {
  readonly inputs: Tensors
  readonly rows: number
  readonly priority: number
  readonly parameters: Readonly<Record<string, unknown>>
}

export interface OneShotPorts {
  /** One run of the graph. @param outputs which to give; `undefined`: all. */
  readonly run: (inputs: Tensors, outputs: readonly string[] | undefined) => Promise<Tensors>
  readonly now: () => number
  /** Lets messages in between two runs. */
  readonly breathe: () => Promise<void>
  readonly sleep: (ms: number) => Promise<void>
  readonly counters: OneShotCounters
  readonly reporter: OneShotReporter
}

export interface OneShotOptions {
  readonly batching: Batching
  /** `undefined`: items go one after the other. */
  readonly layout: BatchLayout | undefined
  /** The layout was declared by who knows the model; else the first batch is compared with its items alone. */
  readonly isDeclared: boolean
  readonly canBatch?: CanBatch
}

/** What goes in. */
export interface OneShotInput {
  readonly inputs: Tensors
  readonly outputs: readonly string[] | undefined
  readonly priority: number
  /** `Infinity`: none of its own. */
  readonly timeoutMs: number
  readonly parameters: Readonly<Record<string, unknown>>
  readonly signal: AbortSignal
  /** Instead of a run of the graph with `inputs`: it goes alone. It counts its own runs. */
  readonly alone?: () => Promise<Tensors>
}

/** What came out. */
export interface OneShotOutput {
  readonly outputs: Tensors
  readonly queueMs: number
  readonly inferMs: number
  /** Of the item itself. */
  readonly rows: number
  readonly batchSize: number
}

interface Item extends OneShotInput, Batchable {
  readonly since: number
  readonly length: number
  readonly resolve: (output: OneShotOutput) => void
  readonly reject: (error: EngineError) => void
}

/** Puts requests together, runs them, takes them apart. A run that fails is tried again item by item, so only the guilty fail. */
export class OneShotEngine {
  readonly #ports: OneShotPorts
  readonly #options: OneShotOptions
  readonly #costs = new BatchCosts()
  readonly #batcher: Batcher<Item>
  /** What was compared and found the same: rows together, and rows of different lengths. */
  readonly #proven = { rows: false, lengths: false }
  /** Why nothing goes together any more. */
  #problem: string | undefined
  #wake = () => {}
  #isRunning = false
  #end: EngineError | undefined

  constructor(ports: OneShotPorts, options: OneShotOptions) {
    this.#ports = ports
    this.#options = options
    this.#batcher = new Batcher<Item>(options.batching, this.#costs, (item, batch) =>
      this.#canJoin(item, batch),
    )
  }

  get numWaiting(): number {
    return this.#batcher.numWaiting
  }

  /** Why items go alone although the graph let hope otherwise. */
  get problem(): string | undefined {
    return this.#problem
  }

  /** Rejects with `queue_full`, `timeout`, `aborted`, `backend_failed`, `engine_lost`. */
  submit(input: OneShotInput): Promise<OneShotOutput> {
    return new Promise((resolve, reject) => {
      const since = this.#ports.now()
      const onAbort = () => {
        this.#batcher.remove(item)
        reject(aborted())
        this.#wake()
      }
      const settled = () => input.signal.removeEventListener('abort', onAbort)
      const item: Item = {
        ...input,
        ...this.#placeOf(input),
        since,
        resolve: (output) => (settled(), resolve(output)),
        reject: (error) => (settled(), reject(error)),
      }
      try {
        if (this.#end !== undefined) throw this.#end
        if (input.signal.aborted) throw aborted()
        this.#batcher.add(item, since)
      } catch (error) {
        reject(error)
        return
      }
      input.signal.addEventListener('abort', onAbort)
      this.#wake()
      if (!this.#isRunning) void this.#loop()
    })
  }

  /** Ends all that wait with `engine_lost`. */
  dispose(): void {
    this.#end = new EngineError('engine_lost', 'The model was unloaded before the answer was complete.')
    for (;;) {
      const plan = this.#batcher.plan(Infinity)
      if (plan.type !== 'run') break
      for (const item of plan.batch) item.reject(this.#end)
    }
    this.#wake()
  }

  /** A hook that throws lets nobody join, and `describe` says so. */
  #canJoin(item: Item, batch: readonly Item[]): boolean {
    const { canBatch } = this.#options
    if (this.#problem !== undefined) return false
    if (canBatch === undefined) return true
    try {
      return canBatch(item, batch)
    } catch (error) {
      this.#problem = `the hook ${this.#options.batching.canBatch} threw: ${String(error)}`
      return false
    }
  }

  #placeOf({ inputs, alone }: OneShotInput): { kind: string | undefined; rows: number; length: number } {
    const { layout, batching } = this.#options
    if (layout === undefined || alone !== undefined) return { kind: undefined, rows: 1, length: 0 }
    const rows = rowsOf(inputs, layout)
    const isAlone = this.#problem !== undefined || batching.maxBatchSize === 1
    return { kind: isAlone ? undefined : kindOf(inputs, layout), rows, length: lengthOf(inputs, layout) }
  }

  /** Never rejects. Goes on while anything waits. */
  async #loop(): Promise<void> {
    this.#isRunning = true
    try {
      for (;;) {
        await this.#ports.breathe()
        const now = this.#ports.now()
        for (const item of this.#batcher.expire(now)) this.#tooLate(item)
        const plan = this.#batcher.plan(now)
        if (plan.type === 'idle') return
        if (plan.type === 'run') await this.#run(plan.batch)
        else await Promise.race([this.#ports.sleep(plan.until - now), this.#woken()])
      }
    } finally {
      this.#isRunning = false
    }
  }

  #woken(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve))
  }

  #tooLate(item: Item): void {
    this.#ports.counters.timedOut++
    const waited = Math.round(this.#ports.now() - item.since)
    item.reject(new EngineError('timeout', `The request waited ${waited} ms, as long as it may.`))
  }

  async #run(batch: readonly Item[]): Promise<void> {
    const { counters, now } = this.#ports
    const began = now()
    counters.running += batch.length
    for (const { since } of batch) add(counters.queue, began - since)
    try {
      await this.#together(batch, began)
    } finally {
      counters.running -= batch.length
    }
  }

  async #together(batch: readonly Item[], began: number): Promise<void> {
    const [only, another] = batch
    if (only !== undefined && another === undefined) return void (await this.#alone(only, began))
    try {
      const { parts, ms, rows } = await this.#compute(batch)
      const wrong = await this.#compare(batch, parts)
      if (wrong !== undefined) {
        this.#problem = wrong
        await this.#oneByOne(batch, began)
        return
      }
      for (const [index, item] of batch.entries())
        item.resolve(resultOf(item, parts[index] ?? {}, began, ms, rows))
    } catch {
      // Whose fault it is shows when they are alone; who is right gets an answer then.
      this.#ports.counters.retriedAlone += batch.length
      const numFailed = await this.#oneByOne(batch, began)
      if (numFailed === 0) this.#problem = 'a run of several rows failed whose rows were right one by one'
    }
  }

  /** Gives how many failed. */
  async #oneByOne(batch: readonly Item[], began: number): Promise<number> {
    let numFailed = 0
    for (const item of batch) if (!item.signal.aborted && !(await this.#alone(item, began))) numFailed++
    return numFailed
  }

  /** Gives whether it went well. Never rejects. */
  async #alone(item: Item, began: number): Promise<boolean> {
    const { now } = this.#ports
    const started = now()
    try {
      if (item.alone !== undefined) {
        const outputs = await item.alone()
        const ms = now() - started
        item.resolve({ outputs, queueMs: began - item.since, inferMs: ms, rows: 1, batchSize: 1 })
        return true
      }
      const { parts, ms, rows } = await this.#compute([item])
      item.resolve(resultOf(item, parts[0] ?? {}, began, ms, rows))
      return true
    } catch (error) {
      item.reject(EngineError.fromWire(toWireError(error, 'backend_failed')))
      return false
    }
  }

  async #compute(
    batch: readonly Item[],
  ): Promise<{ readonly parts: readonly Tensors[]; readonly ms: number; readonly rows: number }> {
    const { now, counters, reporter, run } = this.#ports
    const { layout } = this.#options
    const [first] = batch
    if (first === undefined) throw new Error('a batch of nobody')
    const rows = batch.reduce((sum, item) => sum + item.rows, 0)
    const inputs =
      layout === undefined
        ? first.inputs
        : joinItems(
            batch.map((item) => item.inputs),
            layout,
          )
    const started = now()
    const outputs = await run(inputs, unionOf(batch))
    const ms = now() - started
    counters.ran(rows, ms)
    reporter.ran({ rows, requests: batch.length, ms, waiting: this.numWaiting })
    if (first.kind !== undefined) this.#costs.observe(first.kind, rows, ms)
    return { parts: layout === undefined ? [outputs] : splitItems(outputs, batch, layout), ms, rows }
  }

  /**
   * What no list of operators can say is seen in the first batch: the item that was filled up most is computed alone, too, and must give the same.
   * Says what is wrong. Throws what the run does.
   */
  async #compare(batch: readonly Item[], parts: readonly Tensors[]): Promise<string | undefined> {
    const lengths = batch.map(({ length }) => length)
    const isMixed = new Set(lengths).size > 1
    const isKnown = this.#options.isDeclared || (this.#proven.rows && (!isMixed || this.#proven.lengths))
    if (isKnown) return undefined
    const index = isMixed ? lengths.indexOf(Math.min(...lengths)) : batch.length - 1
    const [item, together] = [batch[index], parts[index]]
    if (item === undefined || together === undefined) throw new Error('a batch without its parts')
    const { parts: own } = await this.#compute([item])
    const how = isMixed ? 'filled up and together' : 'together'
    if (!rowsEqual(own[0] ?? {}, together))
      return `rows ${how} gave something else than alone, so they go one after the other`
    this.#proven.rows = true
    if (isMixed) this.#proven.lengths = true
    return undefined
  }
}

function resultOf(
  { outputs, since, rows }: Item,
  given: Tensors,
  began: number,
  inferMs: number,
  batchSize: number,
): OneShotOutput {
  const own =
    outputs === undefined
      ? given
      : Object.fromEntries(Object.entries(given).filter(([name]) => outputs.includes(name)))
  return { outputs: own, queueMs: began - since, inferMs, rows, batchSize }
}

function unionOf(batch: readonly Item[]): readonly string[] | undefined {
  const lists = batch.map(({ outputs }) => outputs)
  if (lists.some((list) => list === undefined)) return undefined
  return [...new Set(lists.flatMap((list) => list ?? []))]
}

function aborted(): EngineError {
  return new EngineError('aborted', 'The request was cancelled.')
}
