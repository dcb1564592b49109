import type { StorageConfig } from '@tabserve/protocol'
import {
  Http,
  ModelRepository,
  RETRY_POLICY,
  SavedSessions,
  SessionShelf,
  WeightStore,
  openChunkStore,
} from '@tabserve/runtime'

/** In memory, weights take room from the models themselves. */
const MEMORY_BUDGET_BYTES = 2 ** 28

/** What a worker keeps and fetches, as it was configured: models, and sessions in the same store. */
export async function openRepository({
  kind = 'indexeddb',
  budgetBytes,
  allowedOrigins,
  retries = RETRY_POLICY.retries,
  retryBaseMs = RETRY_POLICY.baseMs,
  retryMaxMs = RETRY_POLICY.maxMs,
  stallMs,
  chunkBytes,
}: StorageConfig = {}): Promise<{
  readonly repository: ModelRepository
  readonly sessions: SavedSessions
}> {
  const { store, problem } = await openChunkStore(kind)
  const budget = budgetBytes ?? (store.kind === 'memory' ? MEMORY_BUDGET_BYTES : Infinity)
  const weights = new WeightStore(store, {
    budgetBytes: budget,
    ...(chunkBytes === undefined ? {} : { chunkBytes }),
  })
  const repository = new ModelRepository({
    store: weights,
    http: new Http({ allowedOrigins, ...(stallMs === undefined ? {} : { stallMs }) }),
    retries: { retries, baseMs: retryBaseMs, maxMs: retryMaxMs },
    ...(problem === undefined ? {} : { problem }),
  })
  return { repository, sessions: new SavedSessions(new SessionShelf(store, weights)) }
}
