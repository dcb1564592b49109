import type { StorageReport } from '@tabserve/protocol'
import type { WeightStore } from './weight-store.ts'

/** What the browser says about its storage, and what we hold of it. */
export async function storageReport(store: WeightStore): Promise<StorageReport> {
  // Absent in insecure pages.
  const storage = globalThis.navigator?.storage
  const estimate = await storage?.estimate?.()
  return {
    kind: store.kind,
    usedBytes: await store.usedBytes(),
    ...(store.budgetBytes === Infinity ? {} : { budgetBytes: store.budgetBytes }),
    ...(estimate?.usage === undefined ? {} : { originBytes: estimate.usage }),
    ...(estimate?.quota === undefined ? {} : { quotaBytes: estimate.quota }),
    isPersistent: (await storage?.persisted?.()) ?? false,
  }
}
