import type { Answer, DeviceReport, EngineApi, LoadRequest, ModelInfo } from './api.ts'
import type { ModelsApi } from './models.ts'
import type { Request } from './request.ts'

/** What whoever holds the workers does for a client, in its own tab or another. Answers are values, as in `EngineApi`. */
export interface HubApi extends ModelsApi, Pick<EngineApi, SharedCall> {
  device(): Promise<Answer<DeviceReport>>
  /** `LoadProgress` comes on `port`; the page may say `LoadCommand` on it. */
  load(request: LoadRequest, scaling: Scaling, port: MessagePort): Promise<Answer<ModelInfo>>
  /** Sets how many workers hold a model; resolves when they do. 0 until the next request. */
  scale(model: string, replicas: number): Promise<Answer<ModelHealth>>
  health(): Promise<Answer<Health>>
  /**
   * Gives a request to a worker, which says everything on `port`. Answers when the last word is said; with `engine_lost` when it never will be,
   * because the worker died: what it had said can be resumed. `isCancelled`: see `EngineApi.submit`.
   */
  submit(request: Request, port: MessagePort, id: string, isCancelled: boolean): Promise<Answer<null>>
  /** Ends a request, also one that still waits for a worker: then `submit` answers `aborted`. */
  cancel(id: string): Promise<Answer<null>>
}

/** What means the same to one worker and to whoever holds several. */
type SharedCall =
  'unload' | 'list' | 'describe' | 'stats' | 'tokenize' | 'tokenTexts' | 'resetPrefixCache' | 'clearCache'

/** How many workers hold a model. */
export interface Scaling {
  /** Workers, each with the whole model. A range follows the number of requests. Default 1. */
  readonly replicas?: number | ReplicaRange
  /** Milliseconds without a request after which no worker holds the model; the next request brings it back from the store. Default: never. */
  readonly idleTimeoutMs?: number
}

export interface ReplicaRange {
  readonly min: number
  readonly max: number
}

export interface Health {
  /** Whether anything can be asked. */
  readonly live: boolean
  /** Whether every loaded model has a worker that answers, or needs none until the next request. */
  readonly ready: boolean
  readonly models: readonly ModelHealth[]
}

/** One version of a model. */
export interface ModelHealth {
  /** `name@version`. */
  readonly id: string
  readonly name: string
  readonly version: string
  /** `asleep`: no worker holds it, and the next request brings it back. `failed`: its workers died too often; load it again. */
  readonly state: 'ready' | 'starting' | 'asleep' | 'failed'
  readonly ready: boolean
  /** How many replicas there are to be. */
  readonly wanted: number
  readonly replicas: readonly ReplicaHealth[]
  /** Requests that wait for a replica. */
  readonly waiting: number
  /** Why the last worker died or could not be started. */
  readonly problem?: string
}

/** One worker that holds a model. */
export interface ReplicaHealth {
  readonly state: ReplicaState
  /** Requests in its hands. */
  readonly requests: number
  readonly threads: number
  /** How often its worker was replaced. */
  readonly restarts: number
}

/** `draining`: answers what it has, gets nothing new, then goes. `restarting`: its worker died and another is on its way. */
export type ReplicaState = 'starting' | 'ready' | 'restarting' | 'draining' | 'failed'
