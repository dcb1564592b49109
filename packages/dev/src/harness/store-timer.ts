import type { ChunkStore } from '@tabserve/runtime'
import { idbChunkStore, opfsChunkStore } from '@tabserve/runtime'

export type TimedStore = 'indexeddb' | 'opfs' | 'cache'

const CHUNK_BYTES = 2 ** 24

/** Milliseconds to write and to read `numBytes` of noise in chunks of 16 MB: stores compress what is not noise. */
export async function timeStore(
  kind: TimedStore,
  numBytes: number,
): Promise<{ putMs: number; getMs: number }> {
  const store = await open(kind)
  const noise = new Uint8Array(CHUNK_BYTES)
  for (let at = 0; at < CHUNK_BYTES; at += 65536) crypto.getRandomValues(noise.subarray(at, at + 65536))
  const keys = Array.from({ length: Math.ceil(numBytes / CHUNK_BYTES) }, (_, index) => `noise-${index}`)
  try {
    const started = performance.now()
    for (const key of keys) await store.write(key, noise)
    const written = performance.now()
    for (const key of keys)
      if ((await store.read(key)) !== CHUNK_BYTES) throw new Error(`${kind} lost a chunk`)
    return { putMs: written - started, getMs: performance.now() - written }
  } finally {
    await store.clear()
  }
}

interface Timed {
  write(key: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  /** How many bytes came. */
  read(key: string): Promise<number>
  clear(): Promise<unknown>
}

async function open(kind: TimedStore): Promise<Timed> {
  if (kind !== 'cache') return timed(kind === 'opfs' ? opfsChunkStore('bench') : idbChunkStore('bench'))
  const cache = await caches.open('bench')
  return {
    write: (key, bytes) => cache.put(`/${key}`, new Response(bytes)),
    read: async (key) => (await (await cache.match(`/${key}`))?.arrayBuffer())?.byteLength ?? 0,
    clear: () => caches.delete('bench'),
  }
}

function timed(store: ChunkStore): Timed {
  return {
    write: (key, bytes) => store.write({ chunks: [[key, bytes]] }),
    read: async (key) => (await store.readChunk(key))?.byteLength ?? 0,
    clear: () => store.clear(),
  }
}
