import type { StoreKind } from '@tabserve/protocol'
import type { ChunkStore } from './chunk-store.ts'
import { idbChunkStore } from './idb-chunk-store.ts'
import { memoryChunkStore } from './memory-chunk-store.ts'
import { opfsChunkStore } from './opfs-chunk-store.ts'

const STORES: Readonly<Record<StoreKind, () => ChunkStore>> = {
  indexeddb: idbChunkStore,
  opfs: opfsChunkStore,
  memory: memoryChunkStore,
}

/** The store that was asked for where it works, else an empty one in memory, and why. Private windows and embedded pages may have none. */
export async function openChunkStore(
  wanted: StoreKind,
): Promise<{ readonly store: ChunkStore; readonly problem?: string }> {
  try {
    const store = STORES[wanted]()
    await store.entryKeys()
    return { store }
  } catch (error) {
    const problem = `${wanted} does not work here: ${error instanceof Error ? error.message : String(error)}`
    return { store: memoryChunkStore(), problem }
  }
}
