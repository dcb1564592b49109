import type { ModelInfo, ModelStats, Request, RequestEvent, TokenizeRequest } from '@tabserve/protocol'
import type { TextKv } from './kv-jobs.ts'

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
  /**
   * Whether it waits for a device, which it watches itself: for a step on a GPU, or for another runner in place of a lost one. Nobody else is to take it
   * for stuck meanwhile.
   */
  readonly isAwaitingDevice: boolean
  resetPrefixCache(): void
  /** How `readSession` lays KV out now. */
  readonly kvLayout: string
  /** The KV of `tokens`, all but the last of them at least; computed where the session does not keep it. Rejects with what keeps it from being computed. */
  readSession(session: string, salt: string, tokens: readonly number[]): Promise<TextKv>
  /** Has a session keep KV that was read elsewhere, in the layout that is `kvLayout` now. Rejects where the runner does not take it. */
  writeSession(session: string, salt: string, kv: TextKv): Promise<void>
  /** One session keeps the KV that another does, too. */
  shareSession(from: string, to: string): void
  /** What a session kept is cached as any other KV from now on. */
  releaseSession(session: string): void
  /** Ends every request with `engine_lost` and frees the model. */
  dispose(): Promise<void>
}

export type RunnerFacts = Pick<
  ModelInfo,
  | 'runner'
  | 'runnerReason'
  | 'choice'
  | 'placement'
  | 'activations'
  | 'kvBytes'
  | 'kvType'
  | 'heapBytes'
  | 'maxRunning'
  | 'graph'
>
