import type { StorageConfig } from '@tabserve/protocol'
import { Http, ModelRepository, RETRY_POLICY, WeightStore, openChunkStore } from '@tabserve/runtime'

/** In memory, weights take room from the models themselves. */
const MEMORY_BUDGET_BYTES = 2 ** 28

/** The models that a worker keeps and fetches, as it was configured. */
export async function openRepository({
  kind = 'indexeddb',
  budgetBytes,
  allowedOrigins,
  retries = RETRY_POLICY.retries,
  retryBaseMs = RETRY_POLICY.baseMs,
  retryMaxMs = RETRY_POLICY.maxMs,
  stallMs,
  chunkBytes,
}: StorageConfig = {}): Promise<ModelRepository> {
  const { store, problem } = await openChunkStore(kind)
  const budget = budgetBytes ?? (store.kind === 'memory' ? MEMORY_BUDGET_BYTES : Infinity)
  return new ModelRepository({
    store: new WeightStore(store, {
      budgetBytes: budget,
      ...(chunkBytes === undefined ? {} : { chunkBytes }),
    }),
    http: new Http({ allowedOrigins, ...(stallMs === undefined ? {} : { stallMs }) }),
    retries: { retries, baseMs: retryBaseMs, maxMs: retryMaxMs },
    ...(problem === undefined ? {} : { problem }),
  })
}
