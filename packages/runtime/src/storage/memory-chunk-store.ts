import type { ChunkStore } from './chunk-store.ts'
import { wholeBuffer } from './chunk-store.ts'

/** Keeps chunks for as long as the worker lives: where the browser keeps nothing, or forbids it. */
export function memoryChunkStore(): ChunkStore {
  const stored = new Map<string, unknown>()
  const storedChunks = new Map<string, Uint8Array<ArrayBuffer>>()
  return {
    kind: 'memory',
    scope: `memory ${crypto.getRandomValues(new Uint32Array(4)).join('-')}`,
    readEntry: async (key) => structuredClone(stored.get(key)),
    readChunk: async (key) => storedChunks.get(key),
    async write({ entries = [], chunks = [], removedEntries = [], removedChunks = [] }) {
      for (const [key, bytes] of chunks) storedChunks.set(key, new Uint8Array(wholeBuffer(bytes)))
      for (const [key, value] of entries) stored.set(key, structuredClone(value))
      for (const key of removedEntries) stored.delete(key)
      for (const key of removedChunks) storedChunks.delete(key)
    },
    entryKeys: async () => [...stored.keys()],
    chunkKeys: async () => [...storedChunks.keys()],
    async clear() {
      stored.clear()
      storedChunks.clear()
    },
  }
}
