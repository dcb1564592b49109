import type { BatchingOptions, TensorSpec, Tensors } from '../../packages/protocol/src/index.ts'
import type { CanBatch, Observer, OneShotOutput } from '../../packages/engine/src/index.ts'
import {
  NO_OBSERVER,
  OneShotCounters,
  OneShotEngine,
  OneShotReporter,
  findLayout,
  resolveBatching,
} from '../../packages/engine/src/index.ts'
import { FakeClock } from './fake-clock.ts'

const INPUTS: readonly TensorSpec[] = [
  { name: 'x', datatype: 'FP32', shape: ['rows', 'length'] },
  { name: 'attention_mask', datatype: 'INT64', shape: ['rows', 'length'] },
]
const OUTPUTS: readonly TensorSpec[] = [
  { name: 'doubled', datatype: 'FP32', shape: ['rows', 'length'] },
  { name: 'sum', datatype: 'FP32', shape: ['rows'] },
]

export interface FakeGraphOptions {
  readonly batching?: BatchingOptions
  /** Milliseconds that a run of so many rows takes. Default 10. */
  readonly cost?: (rows: number) => number
  readonly canBatch?: CanBatch
  /** Its rows look at each other, as no list of operators tells. */
  readonly mixesRows?: boolean
  /** Who hears of its runs. Default: nobody. */
  readonly observer?: Observer
}

/** An engine over a graph that doubles what the mask shows and adds it up. It takes time on a clock that is turned by hand, and refuses what no runner may send. */
export class FakeGraph {
  readonly clock = new FakeClock()
  readonly counters = new OneShotCounters()
  readonly engine: OneShotEngine
  /** Rows and moment of each run. */
  readonly runs: { readonly rows: number; readonly at: number }[] = []
  readonly #options: FakeGraphOptions

  constructor(options: FakeGraphOptions = {}) {
    this.#options = options
    const batching = resolveBatching(options.batching ?? {}, 1000)
    const { clock } = this
    this.engine = new OneShotEngine(
      {
        run: (inputs) => this.#run(inputs),
        now: () => clock.now(),
        breathe: () => Promise.resolve(),
        sleep: (ms) => new Promise((resolve) => clock.after(ms, resolve)),
        counters: this.counters,
        reporter: new OneShotReporter(options.observer ?? NO_OBSERVER),
      },
      {
        batching,
        layout: findLayout(INPUTS, OUTPUTS, batching.batchDimension, batching.padding).layout,
        isDeclared: batching.batchDimension !== undefined,
        ...(options.canBatch === undefined ? {} : { canBatch: options.canBatch }),
      },
    )
  }

  /** One row of these numbers. NaN makes the run fail. */
  ask(
    values: readonly number[],
    { priority = 0, timeoutMs = Infinity, signal = new AbortController().signal } = {},
  ): Asked {
    const shape = [1, values.length]
    const inputs: Tensors = {
      x: { datatype: 'FP32', shape, data: Float32Array.from(values) },
      attention_mask: { datatype: 'INT64', shape, data: new BigInt64Array(values.length).fill(1n) },
    }
    const asked: Asked = { answer: undefined, error: undefined, at: undefined, batchSize: undefined }
    const request = { inputs, outputs: undefined, priority, timeoutMs, parameters: {}, signal }
    void this.engine.submit(request).then(
      (output) => Object.assign(asked, answerOf(output), { at: this.clock.now() }),
      (error: unknown) => Object.assign(asked, { error, at: this.clock.now() }),
    )
    return asked
  }

  async #run({ x, attention_mask: mask }: Tensors): Promise<Tensors> {
    const [rows = 0, length = 0] = x?.shape ?? []
    if (mask?.shape.join() !== `${rows},${length}` || mask.data.length !== rows * length)
      throw new Error('mask and values have different shapes')
    this.runs.push({ rows, at: this.clock.now() })
    await new Promise<void>((resolve) => this.clock.after(this.#options.cost?.(rows) ?? 10, resolve))
    const data = x?.data as Float32Array
    if (data.some(Number.isNaN)) throw new Error('not a number')
    const doubled = data.map((value, at) => (mask.data[at] === 1n ? 2 * value : -1000))
    const sum = new Float32Array(rows)
    for (const [at, value] of doubled.entries())
      if (mask.data[at] === 1n) sum[Math.floor(at / length)]! += value
    if (this.#options.mixesRows === true && rows > 1) sum.reverse()
    return {
      doubled: { datatype: 'FP32', shape: [rows, length], data: doubled },
      sum: { datatype: 'FP32', shape: [rows], data: sum },
    }
  }
}

/** What became of a request. */
export interface Asked {
  readonly answer: { readonly doubled: readonly number[]; readonly sum: number } | undefined
  readonly error: unknown
  /** When. */
  readonly at: number | undefined
  readonly batchSize: number | undefined
}

function answerOf({ outputs, batchSize }: OneShotOutput): Pick<Asked, 'answer' | 'batchSize'> {
  const { doubled, sum } = outputs
  if (doubled?.shape.join() !== `1,${doubled?.data.length}` || sum?.shape.join() !== '1')
    throw new Error('an answer of another shape')
  return { answer: { doubled: [...(doubled.data as Float32Array)], sum: Number(sum.data[0]) }, batchSize }
}
