import type { Health, SleepLevel, SleepOptions } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Clock } from '../control/clock.ts'
import type { PageState } from './page-events.ts'

/** When the models of a page that nobody sees go to sleep. */
export interface HiddenOptions {
  /** Milliseconds out of sight. Browsers wake the timers of hidden pages once a minute. */
  readonly sleepAfterMs: number
  /** Default 1. */
  readonly level?: SleepLevel
}

export interface HiddenPorts {
  readonly clock: Clock
  readonly health: () => Promise<Health>
  readonly sleep: (model: string, options: SleepOptions) => Promise<unknown>
  readonly wake: (model: string) => Promise<unknown>
}

/**
 * Puts models to sleep while nobody sees the page, and wakes those when somebody does. Requests that run end first, and one that comes from a hidden page
 * wakes its model; but a page that is about to be frozen has no time: what runs there goes on when the page does.
 */
export class HiddenPolicy {
  readonly #options: Required<HiddenOptions>
  readonly #ports: HiddenPorts
  /** Models that sleep because of this, and not because somebody said so. */
  readonly #asleep = new Set<string>()
  #state: PageState = 'visible'
  #forgetTimer = () => {}

  /** Throws `bad_request`. */
  constructor(options: HiddenOptions, ports: HiddenPorts) {
    this.#options = checkedHidden(options)
    this.#ports = ports
  }

  /** The page is so from now on. */
  take(state: PageState): void {
    if (state === this.#state) return
    this.#state = state
    this.#forgetTimer()
    if (state === 'visible') this.#wakeAll()
    else if (state === 'hidden') this.#sleepLater()
    else void this.#sleepAll('keep')
  }

  stop(): void {
    this.#forgetTimer()
    this.#state = 'visible'
  }

  /** Again and again: a request from the hidden page may have woken a model. */
  #sleepLater(): void {
    this.#forgetTimer = this.#ports.clock.after(this.#options.sleepAfterMs, () => {
      void this.#sleepAll('wait')
      this.#sleepLater()
    })
  }

  async #sleepAll(running: 'wait' | 'keep'): Promise<void> {
    const { models } = await this.#ports.health().catch((): Health => NOTHING) // the client is disposed of
    if (this.#state === 'visible') return
    for (const { id, state, sleep, waiting } of models) {
      if (sleep !== undefined || state === 'asleep' || state === 'failed') continue
      // Somebody has just woken it, and waits.
      if (running === 'wait' && (waiting > 0 || state !== 'ready')) continue
      this.#asleep.add(id)
      const { level } = this.#options
      void this.#ports.sleep(id, { level, running, arriving: 'wake' }).catch(ignoreUnloaded)
    }
  }

  #wakeAll(): void {
    for (const id of this.#asleep) void this.#ports.wake(id).catch(ignoreUnloaded)
    this.#asleep.clear()
  }
}

const NOTHING: Health = { live: false, ready: false, models: [] }

/** Throws `bad_request`. */
export function checkedHidden({
  sleepAfterMs,
  level = 1,
  ...unknown
}: HiddenOptions): Required<HiddenOptions> {
  const [option] = Object.keys(unknown)
  if (option !== undefined) throw new EngineError('bad_request', `whenHidden has no option ${option}.`)
  if (!(typeof sleepAfterMs === 'number' && sleepAfterMs >= 0))
    throw new EngineError('bad_request', `whenHidden needs sleepAfterMs, a number of milliseconds.`)
  if (![0, 1, 2].includes(level))
    throw new EngineError('bad_request', `whenHidden.level ${String(level)} must be 0, 1 or 2.`)
  return { sleepAfterMs, level }
}

/** Nobody waits: what became of the model meanwhile, `health` says, and the next request hears of it. */
function ignoreUnloaded(error: unknown): void {
  if (!(error instanceof EngineError)) throw error
}
