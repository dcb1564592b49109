import type { OneShotWork } from './one-shot-event.ts'
import type { TensorSpec, Tensors } from './tensor.ts'

/** Asks a model once: tensors in and tensors out, or whatever its handler takes and gives. */
export type OneShotRequest = InferRequest | RunRequest

/** Named tensors through a graph. */
export interface InferRequest extends OneShotParams {
  readonly task: 'infer'
  /** `name` or `name@version` of a loaded model. */
  readonly model: string
  /** Every input of the graph, but for those that the runtime feeds: state and controls of a sequence. Rows along the batch dimension: one or more. */
  readonly inputs: Tensors
  /** Which outputs to give. Default: all. */
  readonly outputs?: readonly string[]
}

/** One item through a model's handler: its task. */
export interface RunRequest extends OneShotParams {
  readonly task: 'run'
  readonly model: string
  /** What the handler takes. Cloned on its way to the worker. */
  readonly input: unknown
}

/** How a request is scheduled, cached and sent. */
export interface OneShotParams {
  /** For the handler; `infer` hands them to nobody, but they are part of what is cached. */
  readonly parameters?: Readonly<Record<string, unknown>>
  /** Lower goes first; of one priority who came first. Whole number, default 0. */
  readonly priority?: number
  /** Milliseconds that it may wait for its batch; then the queue policy says what happens. A policy's own timeout can only be shortened. Default: the policy's. */
  readonly timeoutMs?: number
  /** Whether an equal request may be answered from the response cache, and this one kept there. Default: where the load says `responseCache`. */
  readonly cache?: boolean
  /**
   * Moves the inputs' buffers to the worker instead of copying them: they are empty afterwards, and when the worker dies the request cannot be asked again
   * and fails with `engine_lost`. Default false. Outputs always move.
   */
  readonly transfer?: boolean
  /** Of a sequence's chunks: which sequence. Its state stays in the worker. */
  readonly sequence?: SequenceStep
  /** What telemetry calls it. Default: random. */
  readonly requestId?: string
  /** W3C trace context of whoever asks; telemetry carries it on. */
  readonly traceparent?: string
}

/** Which chunk of which sequence. */
export interface SequenceStep {
  /** Correlation id. */
  readonly id: string
  /** The first: state begins as zeros. */
  readonly start?: boolean
  /** The last: state is let go. Without inputs it is no chunk, and nothing is computed. */
  readonly end?: boolean
}

/** Every option of an infer request; anything else is refused. The compiler checks that none is missing. */
export const INFER_OPTIONS: Readonly<Record<keyof InferRequest, true>> = {
  task: true,
  model: true,
  inputs: true,
  outputs: true,
  sequence: true,
  parameters: true,
  priority: true,
  timeoutMs: true,
  cache: true,
  transfer: true,
  requestId: true,
  traceparent: true,
}

/** Every option of a run request; anything else is refused. The compiler checks that none is missing. */
export const RUN_OPTIONS: Readonly<Record<keyof RunRequest, true>> = {
  task: true,
  model: true,
  input: true,
  parameters: true,
  priority: true,
  timeoutMs: true,
  cache: true,
  transfer: true,
  sequence: true,
  requestId: true,
  traceparent: true,
}

/** The last word of a one-shot request that went well. */
export interface ResultEvent {
  readonly type: 'result'
  /** Of `infer`. */
  readonly outputs?: Tensors
  /** Of `run`. */
  readonly output?: unknown
  readonly timing: OneShotTiming
  /** Rows that were computed together, its own included; 0 from the cache. */
  readonly batchSize: number
  readonly isCached: boolean
  /** Absent where no worker says it, as of pipelines. */
  readonly work?: OneShotWork
}

/** Milliseconds, on the worker's clock. */
export interface OneShotTiming {
  /** From ready for its batch until that began. */
  readonly queueMs: number
  readonly preprocessMs: number
  /** Of the whole batch that it was in. */
  readonly inferMs: number
  readonly postprocessMs: number
  /** From submit to the last word. */
  readonly totalMs: number
}

/** How requests are put together. What is not said is read from the graph, or has the default. */
export interface BatchingOptions {
  /** Most rows that are computed together; 1 turns batching off. 1 to 4096, default 32, and 1 where the graph does not allow more. */
  readonly maxBatchSize?: number
  /** Rows that a batch had better have: one of these is sent at once, less waits for `maxQueueDelayMs`. Default: none. */
  readonly preferredBatchSizes?: readonly number[]
  /** Milliseconds that the first of a batch may wait for others. Default 0: only what came while the last batch was computed goes together. */
  readonly maxQueueDelayMs?: number
  /** Answers leave in the order in which requests came. Default false. */
  readonly preserveOrdering?: boolean
  /** Items of different lengths go together, filled up to the longest. Default: where the graph has an attention mask. `false`: only equal shapes. */
  readonly padding?: PaddingOptions | false
  /** The name of the dimension along which rows lie. Default: found in the graph. `null`: the graph takes one item at a time. */
  readonly batchDimension?: string | null
  /** Says of a request whether it may join a batch: the name of a hook that the worker file gave to `startWorker`. Default: any may. */
  readonly canBatch?: string
  /** What happens to requests that wait, for all priorities. */
  readonly queue?: QueuePolicy
  /** Instead of `queue`, for requests of one priority. */
  readonly priorityQueues?: Readonly<Record<number, QueuePolicy>>
}

/** Who may wait, and for how long. */
export interface QueuePolicy {
  /** Requests of a priority that may wait; one more is refused with `queue_full`. Default: the load's `maxWaiting`. */
  readonly maxSize?: number
  /** Milliseconds that a request may wait. Default: for ever. */
  readonly timeoutMs?: number
  /** `reject`: fails with `timeout`. `delay`: goes behind those that are not late. Default `reject`. */
  readonly timeoutAction?: 'reject' | 'delay'
}

/** How items of different lengths are filled up. */
export interface PaddingOptions {
  /** The name of the dimension that differs. */
  readonly dimension: string
  /** Value that fills up an input, by its name; of a mask 0. Default 0. */
  readonly values?: Readonly<Record<string, number>>
  /** Items whose lengths lie under the same bound go together. Rising. Default: powers of 2 from 16. */
  readonly buckets?: readonly number[]
}

/** Models that carry state from chunk to chunk. */
export interface SequenceOptions {
  /** Which output is which input of the next chunk. Default: pairs that are named alike in the graph, as `state` and `stateN`. */
  readonly state?: readonly StatePair[]
  /** Inputs that the runtime feeds: 1 or 0, or the sequence's number. */
  readonly controls?: Readonly<Partial<Record<'start' | 'end' | 'ready' | 'correlationId', string>>>
  /** Milliseconds without a chunk after which a sequence's state is let go. Default 60,000. */
  readonly idleTimeoutMs?: number
  /** Sequences at once; one more is refused with `queue_full`. Default 64. */
  readonly maxSequences?: number
}

/** An output that is an input of the next chunk. */
export interface StatePair {
  readonly input: string
  readonly output: string
  /** Of one sequence at its start, filled with zeros. Default: the graph's, with one row; needed where other sizes are open. */
  readonly shape?: readonly number[]
}

/** Where answers are kept, and how many bytes of them. */
export interface ResponseCacheOptions {
  /** Default `memory`. `indexeddb` outlives the page. */
  readonly kind?: 'memory' | 'indexeddb'
  /** The least recently used go when it holds more. Default 32 MiB. */
  readonly maxBytes?: number
}

/** What one-shot requests of a model have done. Counters only grow, but for what is open or held now. */
export interface OneShotStats {
  readonly succeeded: number
  /** Requests that failed with `timeout` while they waited; part of `failed`. */
  readonly timedOut: number
  /** Rows of successful requests. */
  readonly rows: number
  /** Runs of the graph, and the milliseconds in them, by rows together. */
  readonly batches: Readonly<Record<number, CountAndMs>>
  /** Runs of one item alone after its batch had failed. */
  readonly retriedAlone: number
  readonly queue: CountAndMs
  readonly preprocess: CountAndMs
  readonly infer: CountAndMs
  readonly postprocess: CountAndMs
  readonly total: CountAndMs
  /** Looking for answers that were kept: those that were found, and those that were not, with the time to keep them then. */
  readonly cacheHit: CountAndMs
  readonly cacheMiss: CountAndMs
  readonly cache: ResponseCacheStats
  readonly sequences: { readonly open: number; readonly started: number; readonly expired: number }
}

/** How often, and milliseconds of all of them together. */
export interface CountAndMs {
  readonly count: number
  readonly ms: number
}

/** What the response cache has done and holds. */
export interface ResponseCacheStats {
  readonly hits: number
  readonly misses: number
  readonly evictions: number
  readonly entries: number
  readonly bytes: number
}

/** What a loaded graph takes and gives, and how its requests are put together. */
export interface GraphFacts {
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  /** Rows together at most; 1: one after the other. */
  readonly maxBatchSize: number
  /** Why so: what was found in the graph, or what was declared. */
  readonly batchingReason: string
  /** The state that a sequence carries, which requests do not name. */
  readonly state: readonly StatePair[]
  readonly handler?: string
}
