import type { WeightStore } from './weight-store.ts'

/** Keeps files for as long as the worker lives: where the browser has no IndexedDB, or forbids it. */
export function memoryStore(): WeightStore {
  const files = new Map<string, Uint8Array<ArrayBuffer>>()
  const manifests = new Map<string, string>()
  return {
    readFile: async (sha256) => files.get(sha256),
    writeFile: async (sha256, bytes) => void files.set(sha256, bytes),
    readManifest: async (url) => manifests.get(url),
    writeManifest: async (url, text) => void manifests.set(url, text),
    async remove(url, unused) {
      manifests.delete(url)
      for (const sha256 of unused) files.delete(sha256)
    },
    listManifests: async () => [...manifests.keys()],
    async clear() {
      files.clear()
      manifests.clear()
    },
  }
}
