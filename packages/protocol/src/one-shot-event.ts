import type { ErrorCode } from './error.ts'
import type { OneShotTiming } from './one-shot.ts'
import type { OfModel, OfRequest } from './telemetry-event.ts'

/** What happens to requests of models that are asked once a request. Their version is told by a `route`, as of any. */
export type OneShotEvent = InferStartEvent | InferQueuedEvent | InferBatchEvent | InferEndEvent

/** On the page: `infer`, `run` or a task was called. */
export interface InferStartEvent extends OfRequest, AskedOneShot {
  readonly type: 'infer-start'
  /** Tensors, or what the handler takes; only with `content`. Buffers of a request with `transfer` are empty after the hook was called. */
  readonly input?: unknown
}

interface AskedOneShot {
  /** As it was asked for: an alias, a name or `name@version`. */
  readonly asked: string
  readonly task: 'infer' | 'run'
  /** The model's task, as `embed`, where the page knows the model. */
  readonly handler?: string
  readonly priority: number
  /** W3C trace context of whoever asks, as the request gave it. */
  readonly traceparent?: string
}

/** In the worker: prepared, and waiting for its batch. Comes again when another worker is asked, and not at all for an answer that was kept. */
export interface InferQueuedEvent extends OfModel, OfRequest {
  readonly type: 'infer-queued'
  readonly priority: number
}

/** In the worker: one run of a graph. */
export interface InferBatchEvent extends OfModel {
  readonly type: 'infer-batch'
  /** Counts a model's runs in one worker, from 1. */
  readonly iteration: number
  readonly rows: number
  readonly requests: number
  readonly ms: number
  readonly waiting: number
}

/** On the page: the last word, and the whole story. */
export interface InferEndEvent extends OfRequest, AskedOneShot {
  readonly type: 'infer-end'
  /** `name@version` that has answered. */
  readonly model: string
  readonly alias?: string
  readonly arrivalMs: number
  /** Rows that were computed together; 0 from the cache and of a request that failed. */
  readonly batchSize: number
  readonly isCached: boolean
  /** Absent of a request that failed. */
  readonly timing?: OneShotTiming
  /** When the worker had it and when it began with it, as `timeMs`. */
  readonly work?: OneShotWork
  readonly error?: ErrorCode
  /** What it was answered; only with `content`. */
  readonly output?: unknown
}

/** Milliseconds since the Unix epoch, on the monotonic clock that page and workers share. */
export interface OneShotWork {
  readonly submittedMs: number
  /** Its preprocessing began; of an answer that was kept the same as `submittedMs`. */
  readonly beganMs: number
}

/** What a one-shot request did for a while, on the clock of all events. */
export interface OneShotStage {
  readonly name: 'preprocess' | 'queue' | 'inference' | 'postprocess'
  readonly fromMs: number
  readonly toMs: number
}

/** When each stage of a request was, in their order; none where nothing was computed or nobody knows. */
export function oneShotStages({ timing, work, isCached }: InferEndEvent): OneShotStage[] {
  if (timing === undefined || work === undefined || isCached) return []
  const { preprocessMs, queueMs, inferMs, postprocessMs, totalMs } = timing
  const readyMs = work.beganMs + preprocessMs
  const runMs = readyMs + queueMs
  const overMs = work.submittedMs + totalMs
  return [
    { name: 'preprocess', fromMs: work.beganMs, toMs: readyMs },
    { name: 'queue', fromMs: readyMs, toMs: runMs },
    { name: 'inference', fromMs: runMs, toMs: runMs + inferMs },
    { name: 'postprocess', fromMs: overMs - postprocessMs, toMs: overMs },
  ]
}
