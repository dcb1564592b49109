import { ResponseCache, checkNumber, checkOneOf, refuseUnknown } from '@tabserve/engine'
import type { ResponseCacheOptions, ResponseCacheStats } from '@tabserve/protocol'
import { sha256Of } from '../models/sha256.ts'
import type { ChunkStore } from '../storage/chunk-store.ts'
import { decodeValue, encodeValue } from './response-codec.ts'

const MAX_BYTES = 2 ** 25

/** `ResponseCacheOptions`, filled in. Throws `bad_request`. */
export function resolveResponseCache(options: ResponseCacheOptions): Required<ResponseCacheOptions> {
  const { kind, maxBytes, ...unknown } = options
  refuseUnknown(unknown, 'responseCache')
  return {
    kind: checkOneOf('responseCache.kind', kind, ['memory', 'indexeddb']) ?? 'memory',
    maxBytes:
      checkNumber('responseCache.maxBytes', maxBytes, 'a number of bytes above 0', (bytes) => bytes > 0) ??
      MAX_BYTES,
  }
}

/** Answers of one model that may be given again. In memory; and in a store, where there is one, which the next load finds again. */
export class Responses {
  readonly #cache: ResponseCache<Uint8Array<ArrayBuffer> | 'stored'>
  readonly #store: ChunkStore | undefined
  readonly #model: string

  /** @param model what the model is, down to its weights: part of every key. */
  static async open(model: string, maxBytes: number, store: ChunkStore | undefined): Promise<Responses> {
    const responses = new Responses(model, maxBytes, store)
    await responses.#restore()
    return responses
  }

  private constructor(model: string, maxBytes: number, store: ChunkStore | undefined) {
    this.#model = model
    this.#cache = new ResponseCache(maxBytes)
    this.#store = store
  }

  /** What a request is known by. `undefined`: it holds what cannot be compared. */
  async keyOf(request: unknown): Promise<string | undefined> {
    const bytes = encodeValue([this.#model, request])
    return bytes === undefined ? undefined : sha256Of(bytes)
  }

  async find(key: string): Promise<unknown> {
    const found = this.#cache.find(key)
    if (found === undefined) return undefined
    const bytes = found === 'stored' ? await this.#store?.readChunk(key) : found
    if (bytes !== undefined) return decodeValue(bytes)
    this.#cache.forget(key) // the browser has cleared it
    return undefined
  }

  /** Keeps a copy. What cannot be written is kept no longer than this page. */
  async keep(key: string, response: unknown): Promise<void> {
    const bytes = encodeValue(response)
    if (bytes === undefined) return
    const store = this.#store
    if (store === undefined) return void this.#cache.keep(key, bytes, bytes.byteLength)
    const gone = this.#cache.keep(key, 'stored', bytes.byteLength)
    try {
      await store.write({
        chunks: [[key, bytes]],
        entries: [[key, { bytes: bytes.byteLength, keptAt: Date.now() }]],
        removedChunks: gone,
        removedEntries: gone,
      })
    } catch {
      this.#cache.forget(key) // no room: it is computed again
    }
  }

  stats(): ResponseCacheStats {
    return this.#cache.stats()
  }

  async #restore(): Promise<void> {
    const store = this.#store
    if (store === undefined) return
    const keys = await store.entryKeys().catch(() => []) // a store that cannot be read holds nothing for us
    const entries = await Promise.all(keys.map(async (key) => [key, await store.readEntry(key)] as const))
    const known = entries
      .map(([key, entry]) => ({ key, ...(entry as { bytes?: number; keptAt?: number }) }))
      .sort((one, other) => (one.keptAt ?? 0) - (other.keptAt ?? 0))
    for (const { key, bytes } of known) if (bytes !== undefined) this.#cache.keep(key, 'stored', bytes)
  }
}
