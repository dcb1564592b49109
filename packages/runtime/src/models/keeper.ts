import type { StorageWarning } from '@tabserve/protocol'
import { isQuotaError } from '../storage/chunk-store.ts'
import type { WeightStore } from '../storage/weight-store.ts'

/** Keeps what one load brings for as long as that works; from the first refusal on the load goes on without, and says so once. */
export class Keeper {
  readonly #store: WeightStore
  readonly #address: string
  readonly #onWarning: (warning: StorageWarning) => void
  #warning: StorageWarning | undefined

  constructor(store: WeightStore, address: string, onWarning: (warning: StorageWarning) => void) {
    this.#store = store
    this.#address = address
    this.#onWarning = onWarning
  }

  /** Why nothing is kept any more. */
  get warning(): StorageWarning | undefined {
    return this.#warning
  }

  /** Writes, making room where there is none. Never rejects. */
  async keep(write: () => Promise<void>): Promise<void> {
    if (this.#warning !== undefined) return
    try {
      await this.#store.withRoom(this.#address, write)
    } catch (error) {
      this.giveUp(warningOf(error))
    }
  }

  giveUp(warning: StorageWarning): void {
    if (this.#warning !== undefined) return
    this.#warning = warning
    this.#onWarning(warning)
  }
}

/** What a store's refusal means to who asked for a model. */
export function warningOf(error: unknown): StorageWarning {
  const cause = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  return isQuotaError(error)
    ? {
        reason: 'quota',
        message: `The browser has no room for the weights (${cause}). Free disk space, or remove other models.`,
      }
    : { reason: 'failed', message: `The weight store failed (${cause}). The next load tries again.` }
}
