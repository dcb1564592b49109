import type { ResponseCacheStats } from '@tabserve/protocol'

interface Entry<Value> {
  readonly value: Value
  readonly bytes: number
}

/** Answers by their request's key, by bytes: the least recently used go first. */
export class ResponseCache<Value> {
  readonly #maxBytes: number
  /** In order of use: the first goes first. */
  readonly #entries = new Map<string, Entry<Value>>()
  #bytes = 0
  #hits = 0
  #misses = 0
  #evictions = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** Counts a hit or a miss. */
  find(key: string): Value | undefined {
    const entry = this.#entries.get(key)
    if (entry === undefined) {
      this.#misses++
      return undefined
    }
    this.#hits++
    this.#entries.delete(key)
    this.#entries.set(key, entry)
    return entry.value
  }

  /** What is larger than all that may be kept is not kept. Gives the keys that had to go. */
  keep(key: string, value: Value, bytes: number): string[] {
    if (bytes > this.#maxBytes) return []
    this.forget(key)
    this.#entries.set(key, { value, bytes })
    this.#bytes += bytes
    const gone: string[] = []
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.forget(oldest)
      this.#evictions++
      gone.push(oldest)
    }
    return gone
  }

  forget(key: string): void {
    this.#bytes -= this.#entries.get(key)?.bytes ?? 0
    this.#entries.delete(key)
  }

  /** From the one that was used longest ago. */
  keys(): string[] {
    return [...this.#entries.keys()]
  }

  stats(): ResponseCacheStats {
    const { size: entries } = this.#entries
    return { hits: this.#hits, misses: this.#misses, evictions: this.#evictions, entries, bytes: this.#bytes }
  }
}
