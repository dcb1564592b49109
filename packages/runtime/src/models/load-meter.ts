import type { LoadProgress } from '@tabserve/protocol'

type Source = 'network' | 'store' | 'local'

/** Messages about bytes are at least so far apart, but for the last one of a file. */
const INTERVAL_MS = 30
/** The rate is that of the last so many milliseconds. */
const WINDOW_MS = 3000

/** Counts a load's bytes by where they came from, and tells of them. */
export class LoadMeter {
  readonly #totalBytes: number
  readonly #broughtBytes: number
  readonly #onProgress: (progress: LoadProgress) => void
  readonly #bytes: Record<Source, number> = { network: 0, store: 0, local: 0 }
  readonly #recent: { readonly at: number; readonly source: Source; readonly bytes: number }[] = []
  #toldAt = -Infinity
  #waitedMs = 0
  #hashedMs = 0

  /** @param broughtBytes that the network brought before this was made: they are reported, and are no progress. */
  constructor(totalBytes: number, onProgress: (progress: LoadProgress) => void, broughtBytes = 0) {
    this.#totalBytes = totalBytes
    this.#broughtBytes = broughtBytes
    this.#onProgress = onProgress
  }

  get networkBytes(): number {
    return this.#bytes.network + this.#broughtBytes
  }

  get storedBytes(): number {
    return this.#bytes.store
  }

  /** Of files that the user picked. */
  get localBytes(): number {
    return this.#bytes.local
  }

  /** Milliseconds that somebody waited for bytes. */
  get waitedMs(): number {
    return this.#waitedMs
  }

  /** Milliseconds of hashing. */
  get hashedMs(): number {
    return this.#hashedMs
  }

  /** @param isLast of its file. */
  count(file: string, source: Source, bytes: number, isLast = false): void {
    const now = performance.now()
    this.#bytes[source] += bytes
    this.#recent.push({ at: now, source, bytes })
    while ((this.#recent[0]?.at ?? now) < now - WINDOW_MS) this.#recent.shift()
    if (!isLast && now - this.#toldAt < INTERVAL_MS) return
    this.#toldAt = now
    this.#onProgress({
      type: 'load-progress',
      phase: 'fetch',
      file,
      source,
      loadedBytes: this.#bytes.network + this.#bytes.store + this.#bytes.local,
      totalBytes: this.#totalBytes,
      bytesPerSecond: this.#rate(source, now),
    })
  }

  async time<T>(work: Promise<T>): Promise<T> {
    const started = performance.now()
    try {
      return await work
    } finally {
      this.#waitedMs += performance.now() - started
    }
  }

  async timeHash<T>(work: Promise<T>): Promise<T> {
    const started = performance.now()
    try {
      return await work
    } finally {
      this.#hashedMs += performance.now() - started
    }
  }

  #rate(source: Source, now: number): number {
    const since = this.#recent[0]?.at ?? now
    const bytes = this.#recent.reduce((sum, entry) => sum + (entry.source === source ? entry.bytes : 0), 0)
    // A first message comes at once; a tenth of a second keeps its rate sober.
    return (1000 * bytes) / Math.max(100, now - since)
  }
}
