import type { StorageConfig } from '@tabserve/protocol'
import { Http, ModelRepository, WeightStore, openChunkStore } from '@tabserve/runtime'

/** In memory, weights take room from the models themselves. */
const MEMORY_BUDGET_BYTES = 2 ** 28

/** The models that a worker keeps and fetches, as it was configured. */
export async function openRepository({
  kind = 'indexeddb',
  budgetBytes,
  allowedOrigins,
}: StorageConfig = {}): Promise<ModelRepository> {
  const { store, problem } = await openChunkStore(kind)
  const budget = budgetBytes ?? (store.kind === 'memory' ? MEMORY_BUDGET_BYTES : Infinity)
  return new ModelRepository({
    store: new WeightStore(store, { budgetBytes: budget }),
    http: new Http({ allowedOrigins }),
    ...(problem === undefined ? {} : { problem }),
  })
}
