import type { ModelInfo, ModelStats, Request, RequestEvent, TokenizeRequest } from '@tabserve/protocol'

/** Takes what a request says. Called in order; the last call is a `finish` or an `error`. Must not throw. */
export type Emit = (event: RequestEvent) => void

/** Ends a request with reason `abort` before the next step; harmless when it has ended. */
export type Cancel = () => void

/** A loaded model that answers requests. */
export interface Served {
  /** Never throws: what is wrong with the request is said through `emit`. */
  submit(request: Request, emit: Emit): Cancel
  /** Throws `bad_request` for a prompt that `submit` would refuse. */
  tokenize(request: TokenizeRequest): readonly number[]
  /** Throws `bad_request` for what is no token. */
  tokenTexts(tokens: readonly number[]): readonly string[]
  stats(): ModelStats
  /** What runs it now: that changes when a device is lost. */
  facts(): RunnerFacts
  /** Whether another runner is being made in place of a lost one: no step is computed meanwhile. */
  readonly isRecovering: boolean
  resetPrefixCache(): void
  /** Ends every request with `engine_lost` and frees the model. */
  dispose(): Promise<void>
}

export type RunnerFacts = Pick<
  ModelInfo,
  | 'runner'
  | 'runnerReason'
  | 'choice'
  | 'placement'
  | 'kvBytes'
  | 'kvType'
  | 'heapBytes'
  | 'maxRunning'
  | 'graph'
>
