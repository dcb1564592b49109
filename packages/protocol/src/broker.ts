import type { LoadRequest, ModelInfo } from './api.ts'
import type { FixedScaling } from './hub.ts'
import type { SleepOptions } from './sleep.ts'

/** What a tab says to the broker, a shared worker that all tabs of an origin reach, because ports cannot be handed from tab to tab. */
export type BrokerCommand =
  | { readonly type: 'hello' }
  /** The tab holds the leader's lock. */
  | { readonly type: 'lead' }
  /** What the leader has loaded, for the one after it. */
  | { readonly type: 'hold'; readonly held: readonly HeldModel[] }
  /** A port for the leader, on which it answers a `HubApi`; `tab` is the lock that the sender holds while it lives. */
  | { readonly type: 'connect'; readonly tab: string; readonly port: MessagePort }

/** What the broker says to a tab. */
export type BrokerEvent =
  | { readonly type: 'welcome' }
  /** To the new leader: what the last one had loaded. */
  | { readonly type: 'leading'; readonly held: readonly HeldModel[] }
  /** To the leader: a tab wants to be served. */
  | { readonly type: 'connect'; readonly tab: string; readonly port: MessagePort }
  /** To those who were served by the last leader. */
  | { readonly type: 'leader-changed' }

/** A loaded model as another tab takes it up, and as memory budgets count it. */
export interface HeldModel {
  readonly info: ModelInfo
  readonly request: LoadRequest
  readonly scaling: FixedScaling
  /** Absent: it is awake. */
  readonly sleep?: SleepOptions
}
