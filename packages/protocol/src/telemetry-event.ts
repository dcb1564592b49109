import type { DeviceName, KvType, LoadReport, RunnerName } from './api.ts'
import type { DeviceChoice } from './device-choice.ts'
import type { ErrorCode } from './error.ts'
import type { ChoiceEnd, EngineWork, Usage } from './event.ts'
import type { OneShotEvent } from './one-shot-event.ts'
import type { ChatMessage } from './request.ts'
import type { KvBlockStats, StepKind } from './stats.ts'
import { textHash } from './text-hash.ts'

/**
 * What happens in a client and its workers, as it happens. `timeMs` of every event is in milliseconds since the Unix epoch, on the one monotonic
 * clock of page and workers (`performance.timeOrigin + performance.now()`). Events of one thread come in order; between threads the times tell.
 */
export type TelemetryEvent =
  | RequestStartEvent
  | RouteEvent
  | FallbackEvent
  | RequestQueuedEvent
  | RequestScheduledEvent
  | RequestFirstTokenEvent
  | RequestTokensEvent
  | RequestPreemptedEvent
  | RequestEndEvent
  | OneShotEvent
  | StepEvent
  | ModelLoadEvent
  | DeviceChoiceEvent
  | ModelReadyEvent
  | ModelFailedEvent
  | ModelUnloadEvent
  | DeviceLostEvent
  | WorkerUpEvent
  | WorkerDownEvent
  | WorkerRestartEvent
  | RolloutTelemetryEvent

interface Timed {
  readonly timeMs: number
}

/** Of one request. `id` is its `requestId`; of a shadow's copy, that and `~shadow`. */
export interface OfRequest extends Timed {
  readonly id: string
}

/** Told by a worker of one of its models, `name@version`. */
export interface OfModel extends Timed {
  readonly worker: string
  readonly model: string
}

/** On the page: `generate` was called. */
export interface RequestStartEvent extends OfRequest {
  readonly type: 'request-start'
  /** As it was asked for: an alias, a name or `name@version`. */
  readonly model: string
  readonly priority: number
  readonly params: RequestParams
  /** W3C trace context of whoever asks, as the request gave it. */
  readonly traceparent?: string
  /** Only with `content`. */
  readonly input?: string | readonly ChatMessage[]
}

/** What of a request is neither content nor about its delivery. Absent: not given. */
export interface RequestParams {
  readonly operation: 'chat' | 'text_completion'
  readonly n: number
  readonly maxTokens?: number
  readonly temperature?: number
  readonly topP?: number
  readonly topK?: number
  readonly seed?: number
  readonly frequencyPenalty?: number
  readonly presencePenalty?: number
  readonly stop?: readonly string[]
}

/** On the page: the version that the request goes to. */
export interface RouteEvent extends OfRequest {
  readonly type: 'route'
  /** `name@version`. */
  readonly model: string
  /** The alias whose traffic was split, if the request named one. */
  readonly alias?: string
}

/** On the page: a server answers in place of the version. */
export interface FallbackEvent extends OfRequest {
  readonly type: 'fallback'
  readonly alias: string
  /** As the server calls it. */
  readonly model: string
  readonly url: string
  readonly reason: string
}

/** In the engine: checked, and waiting. Comes again after a worker died: another one goes on. */
export interface RequestQueuedEvent extends OfModel, OfRequest {
  readonly type: 'request-queued'
  readonly promptTokens: number
  readonly priority: number
  readonly n: number
}

/** In the engine: its first forward pass begins. */
export interface RequestScheduledEvent extends OfModel, OfRequest {
  readonly type: 'request-scheduled'
  readonly cachedTokens: number
}

/** In the engine: its first token is drawn. */
export interface RequestFirstTokenEvent extends OfModel, OfRequest {
  readonly type: 'request-first-token'
}

/** One of its answers was sent back to wait. */
export interface RequestPreemptedEvent extends OfModel, OfRequest {
  readonly type: 'request-preempted'
  readonly choice: number
}

/** On the page: a delta. */
export interface RequestTokensEvent extends OfRequest {
  readonly type: 'request-tokens'
  readonly choice: number
  readonly numTokens: number
}

/** On the page: the last word, and the whole story of the request. Times as `timeMs`; `undefined`: it did not come so far, or nobody here knows. */
export interface RequestEndEvent extends OfRequest {
  readonly type: 'request-end'
  /** As it was asked for. */
  readonly asked: string
  /** `name@version` that has answered; as the server calls it, where one did. */
  readonly model: string
  readonly alias?: string
  readonly servedBy: 'local' | 'remote'
  readonly priority: number
  readonly traceparent?: string
  readonly arrivalMs: number
  readonly queuedMs?: number
  readonly scheduledMs?: number
  readonly firstTokenMs?: number
  readonly lastTokenMs?: number
  /** When the page had the first text. */
  readonly firstDeltaMs?: number
  readonly usage: Usage
  readonly work?: EngineWork
  /** One an answer; none of a request that failed. */
  readonly finishReasons: readonly ChoiceEnd['reason'][]
  readonly error?: ErrorCode
  /** What each answer says; only with `content`. */
  readonly output?: readonly string[]
}

/** One forward pass. Milliseconds. */
export interface StepEvent extends OfModel {
  readonly type: 'step'
  /** Counts a model's passes in one worker, from 1. */
  readonly iteration: number
  readonly kind: StepKind
  /** Of all of it, from its plan to the last token drawn. */
  readonly ms: number
  readonly planMs: number
  readonly copyMs: number
  readonly runMs: number
  readonly sampleMs: number
  /** Answers in it. */
  readonly rows: number
  /** Tokens that went through the model, and how many of them were of prompts. */
  readonly tokens: number
  readonly promptTokens: number
  readonly generatedTokens: number
  readonly draftTokens: number
  readonly acceptedTokens: number
  readonly running: number
  readonly waiting: number
  /** Share of the KV cache in use, 0 to 1. */
  readonly kvUsage: number
  /** Where KV lies in blocks: how many there are, are used, can be found; and how many ever were copied, stored and evicted. */
  readonly blocks?: KvBlockStats
}

/** In a worker: a load has begun. */
export interface ModelLoadEvent extends Timed {
  readonly type: 'model-load'
  readonly worker: string
  readonly url: string
}

/** Where a model will run, and why. */
export interface DeviceChoiceEvent extends Timed {
  readonly type: 'device-choice'
  readonly worker: string
  readonly url: string
  readonly choice: DeviceChoice
}

/** In a worker: a model answers requests, and how it runs. */
export interface ModelReadyEvent extends OfModel {
  readonly type: 'model-ready'
  readonly url: string
  readonly runner: RunnerName
  readonly device: DeviceName
  readonly threads: number
  readonly load: LoadReport
  readonly kvType: KvType
  /** Bytes of all files; largest size of the KV cache; of the wasm memory after loading, where it is known. */
  readonly fileBytes: number
  readonly kvBytes: number
  readonly heapBytes?: number
}

/** In a worker: a load has failed. */
export interface ModelFailedEvent extends Timed {
  readonly type: 'model-failed'
  readonly worker: string
  readonly url: string
  readonly error: ErrorCode
}

/** In a worker: a model is gone. */
export interface ModelUnloadEvent extends OfModel {
  readonly type: 'model-unload'
}

/** The GPU went away under a model, which goes on with another runner, or not at all. */
export interface DeviceLostEvent extends OfModel {
  readonly type: 'device-lost'
  readonly message: string
  readonly recoveryMs: number
  readonly recovered: boolean
}

/** In the hub: a worker answers. */
export interface WorkerUpEvent extends Timed {
  readonly type: 'worker-up'
  readonly worker: string
  readonly threads: number
}

/** In the hub: a worker died or was ended, and why. */
export interface WorkerDownEvent extends Timed {
  readonly type: 'worker-down'
  readonly worker: string
  readonly reason: string
}

/** A worker takes the place of one that died, with its model. */
export interface WorkerRestartEvent extends Timed {
  readonly type: 'worker-restart'
  readonly url: string
  readonly restarts: number
}

/** On the page: a rollout goes on. */
export interface RolloutTelemetryEvent extends Timed {
  readonly type: 'rollout'
  /** `rollout-warm`, `rollout-step`, … */
  readonly what: string
  readonly alias: string
  readonly from: string
  readonly to: string
  readonly phase: string
  readonly weight: number
  readonly reason?: string
}

/** What comes on the port of `HubApi.observe`: events of the hub, and for each worker a port on which its own come. */
export type ObserverMessage =
  | { readonly type: 'events'; readonly events: readonly TelemetryEvent[] }
  | { readonly type: 'worker'; readonly port: MessagePort }

/** What an observer wants to hear. */
export interface ObserveOptions {
  /** Share of requests whose events are wanted, 0 to 1; by their id, so that every thread chooses the same. */
  readonly sample: number
}

/** Whether a request is among the share that is wanted. Of two shares the smaller is part of the larger. */
export function isSampled(id: string, sample: number): boolean {
  return sample >= 1 || textHash(id) < sample
}
