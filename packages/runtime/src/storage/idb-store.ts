import { clear, createStore, delMany, get, keys, set } from 'idb-keyval'
import type { WeightStore } from './weight-store.ts'

/** 16 MB: small enough for the browser's memory, large enough for its speed (measured from 4 to 1024 MB). */
export const CHUNK_BYTES = 16 * 1024 * 1024

interface FileEntry {
  readonly bytes: number
}

const manifestKey = (url: string) => `manifest ${url}`
const fileKey = (sha256: string) => `file ${sha256}`
const chunkKey = (sha256: string, index: number) => `chunk ${sha256} ${String(index).padStart(6, '0')}`

/**
 * Keeps files in IndexedDB as ArrayBuffer chunks. A file's entry is written after its last chunk: what has no entry is not
 * there, and a later write of the same content replaces what a cut one left behind.
 * @param name of the IndexedDB database.
 */
export function idbStore(name = 'tabserve-weights'): WeightStore {
  const store = createStore(name, 'weights')
  const chunkKeys = async (sha256: string) =>
    (await keys<string>(store)).filter((key) => key.startsWith(`chunk ${sha256} `))

  return {
    async readFile(sha256) {
      const entry = await get<FileEntry>(fileKey(sha256), store)
      if (entry === undefined) return undefined
      const bytes = new Uint8Array(entry.bytes)
      for (let from = 0, index = 0; from < entry.bytes; from += CHUNK_BYTES, index++) {
        const chunk = await get<ArrayBuffer>(chunkKey(sha256, index), store)
        if (chunk?.byteLength !== Math.min(CHUNK_BYTES, entry.bytes - from)) return undefined
        bytes.set(new Uint8Array(chunk), from)
      }
      return bytes
    },
    async writeFile(sha256, bytes) {
      for (let from = 0, index = 0; from < bytes.byteLength; from += CHUNK_BYTES, index++) {
        const chunk = bytes.buffer.slice(
          bytes.byteOffset + from,
          bytes.byteOffset + Math.min(from + CHUNK_BYTES, bytes.byteLength),
        )
        await set(chunkKey(sha256, index), chunk, store)
      }
      await set(fileKey(sha256), { bytes: bytes.byteLength } satisfies FileEntry, store)
    },
    readManifest: (url) => get<string>(manifestKey(url), store),
    writeManifest: (url, text) => set(manifestKey(url), text, store),
    async remove(url, files) {
      const chunks = (await Promise.all(files.map(chunkKeys))).flat()
      // One transaction: never an entry without its chunks.
      await delMany([manifestKey(url), ...files.map(fileKey), ...chunks], store)
    },
    async listManifests() {
      const all = await keys<string>(store)
      return all.filter((key) => key.startsWith('manifest ')).map((key) => key.slice('manifest '.length))
    },
    clear: () => clear(store),
  }
}
