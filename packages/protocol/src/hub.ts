import type { Answer, DeviceReport, EngineApi, LoadRequest, ModelInfo } from './api.ts'
import type { HeldModel } from './broker.ts'
import type { ModelsApi } from './models.ts'
import type { Request } from './request.ts'
import type { SessionsApi } from './session.ts'
import type { SleepLevel, SleepOptions } from './sleep.ts'
import type { ObserveOptions } from './telemetry-event.ts'

/** What whoever holds the workers does for a client, in its own tab or another. Answers are values, as in `EngineApi`. */
export interface HubApi extends ModelsApi, SessionsApi, Pick<EngineApi, SharedCall> {
  device(): Promise<Answer<DeviceReport>>
  /** `LoadProgress` comes on `port`; the page may say `LoadCommand` on it. */
  load(request: LoadRequest, scaling: Scaling, port: MessagePort): Promise<Answer<ModelInfo>>
  /** Sets how many workers hold a model; resolves when they do. 0 until the next request. */
  scale(model: string, replicas: number): Promise<Answer<ModelHealth>>
  health(): Promise<Answer<Health>>
  /** What is loaded, by this tab or another, and how many workers each is to have. */
  held(): Promise<Answer<readonly HeldModel[]>>
  /** Resolves once the model sleeps, or somebody has woken it meanwhile. */
  sleep(model: string, options: SleepOptions): Promise<Answer<ModelHealth>>
  /** Resolves once it answers requests again. */
  wake(model: string): Promise<Answer<ModelHealth>>
  /**
   * Gives a request to a worker, which says everything on `port`. Answers when the last word is said; with `engine_lost` when it never will be,
   * because the worker died: what it had said can be resumed. Answers `again` when the model went to sleep under it: it is to be asked once more, with
   * what it had said, and waits then. `isCancelled`: see `EngineApi.submit`.
   */
  submit(request: Request, port: MessagePort, id: string, isCancelled: boolean): Promise<Answer<SubmitEnd>>
  /** Tells what happens as `ObserverMessage`s on `port`, until that is closed. Answers when nothing more will come. */
  observe(port: MessagePort, options: ObserveOptions): Promise<Answer<null>>
  /** Ends a request, also one that still waits for a worker: then `submit` answers `aborted`. */
  cancel(id: string): Promise<Answer<null>>
}

/** What means the same to one worker and to whoever holds several. */
type SharedCall =
  'unload' | 'list' | 'describe' | 'stats' | 'tokenize' | 'tokenTexts' | 'resetPrefixCache' | 'clearCache'

/** How a submit ends that has not failed. */
export type SubmitEnd = 'over' | 'again'

/** How many workers hold a model. */
export interface Scaling {
  /**
   * Workers, each with the whole model. A range follows the number of requests. `auto`: as many as share the cores best under many requests at once,
   * and threads to match; the first load of a model on a machine measures that (a second or so, and as many loads as there are ways), and
   * `ModelInfo.split` says what it found. Default 1: one copy of the weights, and all threads for whoever asks alone.
   */
  readonly replicas?: number | ReplicaRange | 'auto'
  /** Milliseconds without a request after which no worker holds the model; the next request brings it back from the store. Default: never. */
  readonly idleTimeoutMs?: number
}

/** Scaling of a model that is loaded: `auto` has been chosen by then. */
export interface FixedScaling extends Scaling {
  readonly replicas?: number | ReplicaRange
}

/** How few and how many workers may hold a model. */
export interface ReplicaRange {
  readonly min: number
  readonly max: number
}

/** Whether things can be asked, and how each model is. */
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
  /** `asleep`: nothing is computed for it; see `sleep`. `failed`: its workers died too often; load it again. */
  readonly state: 'ready' | 'starting' | 'asleep' | 'failed'
  readonly ready: boolean
  /** How many replicas there are to be. */
  readonly wanted: number
  readonly replicas: readonly ReplicaHealth[]
  /** Requests that wait for a replica. */
  readonly waiting: number
  /** Of one that was put to sleep, or is on its way there. One that sleeps because nobody asked for it has none, and the next request wakes it. */
  readonly sleep?: { readonly level: SleepLevel; readonly arriving: Required<SleepOptions>['arriving'] }
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

/** `draining`: answers what it has, gets nothing new, then goes. `asleep`: has a worker and gets nothing. `restarting`: its worker died and another is on its way. */
export type ReplicaState = 'starting' | 'ready' | 'restarting' | 'draining' | 'asleep' | 'failed'
