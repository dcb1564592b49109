import type { TelemetryEvent } from '@tabserve/protocol'

/** Whoever may listen to an engine. */
export interface Observer {
  /** Whether anybody does: nothing is told to nobody. */
  readonly isOn: boolean
  /** What events call the worker and the model, `name@version`. */
  readonly worker: string
  readonly model: string
  /** Whether events of this request are wanted. */
  isSampled(requestId: string): boolean
  /** Called in the middle of a step: must not throw, and not take long. */
  tell(event: TelemetryEvent): void
}

/** For an engine that nobody can listen to. */
export const NO_OBSERVER: Observer = {
  isOn: false,
  worker: '',
  model: '',
  isSampled: () => false,
  tell: () => {},
}
