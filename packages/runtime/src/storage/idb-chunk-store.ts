import { clear, createStore, get, keys, promisifyRequest } from 'idb-keyval'
import type { ChunkStore } from './chunk-store.ts'
import { wholeBuffer } from './chunk-store.ts'

const CHUNK = 'chunk '

/**
 * Keeps chunks in IndexedDB, as ArrayBuffers: Blobs pass through the browser process's memory, one large record through everybody's.
 * @param name of the database.
 */
export function idbChunkStore(name = 'tabserve-weights'): ChunkStore {
  const store = createStore(name, 'weights')
  return {
    kind: 'indexeddb',
    scope: `indexeddb ${name}`,
    readEntry: (key) => get<unknown>(key, store),
    async readChunk(key) {
      const buffer = await get<unknown>(CHUNK + key, store)
      return buffer instanceof ArrayBuffer ? new Uint8Array(buffer) : undefined
    },
    write: ({ entries = [], chunks = [], removedEntries = [], removedChunks = [] }) =>
      store('readwrite', (objects) => {
        for (const [key, bytes] of chunks) objects.put(wholeBuffer(bytes), CHUNK + key)
        for (const [key, value] of entries) objects.put(value, key)
        for (const key of removedEntries) objects.delete(key)
        for (const key of removedChunks) objects.delete(CHUNK + key)
        return promisifyRequest(objects.transaction)
      }),
    entryKeys: async () => (await keys<string>(store)).filter((key) => !key.startsWith(CHUNK)),
    chunkKeys: async () =>
      (await keys<string>(store))
        .filter((key) => key.startsWith(CHUNK))
        .map((key) => key.slice(CHUNK.length)),
    clear: () => clear(store),
  }
}
