import { EngineError } from './error.ts'

/**
 * How deep a model sleeps. 0: it computes nothing and keeps everything. 1: session, device memory and KV are given back; its worker stays, with all that
 * is compiled. 2: the worker goes, too. From 1 and 2 it wakes out of the store.
 */
export type SleepLevel = 0 | 1 | 2

/** How a model is put to sleep. */
export interface SleepOptions {
  /** Default 1. */
  readonly level?: SleepLevel
  /**
   * What becomes of requests that are running. `wait`: they end first. `abort`: they end with reason `abort` and the text so far. `keep`: they pause, and
   * go on with the same tokens once the model is awake. Default `wait`.
   */
  readonly running?: 'wait' | 'abort' | 'keep'
  /**
   * What becomes of requests that arrive meanwhile. `wait`: they wait for `wake`, as far as their deadlines allow. `refuse`: they fail with
   * `model_asleep`. `wake`: the first one wakes the model. Default `wait`.
   */
  readonly arriving?: 'wait' | 'refuse' | 'wake'
}

/** Options of `sleep`, checked and filled in. Throws `bad_request`. */
export function resolveSleep({
  level = 1,
  running = 'wait',
  arriving = 'wait',
  ...unknown
}: SleepOptions): Required<SleepOptions> {
  const [option] = Object.keys(unknown)
  if (option !== undefined) throw new EngineError('bad_request', `sleep has no option ${option}.`)
  check('level', level, [0, 1, 2])
  check('running', running, ['wait', 'abort', 'keep'])
  check('arriving', arriving, ['wait', 'refuse', 'wake'])
  return { level, running, arriving }
}

function check(option: string, value: unknown, allowed: readonly unknown[]): void {
  if (allowed.includes(value)) return
  throw new EngineError('bad_request', `${option} ${String(value)} must be one of ${allowed.join(', ')}.`, {
    param: option,
  })
}
