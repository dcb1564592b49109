import type { ManifestFile } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { createBreath } from '../breath.ts'
import { acquireLock } from '../storage/lock.ts'
import type { StoredFile } from '../storage/stored-file.ts'
import type { Keeper } from './keeper.ts'
import type { LoadMeter } from './load-meter.ts'
import type { ModelSource } from './model-source.ts'
import { aborted } from './retry.ts'
import { hashGently, sha256Of, streamingSha256 } from './sha256.ts'

/** What streams of one load share. */
export interface LoadContext {
  readonly source: ModelSource
  readonly keeper: Keeper
  readonly meter: LoadMeter
  readonly signal: AbortSignal
  /** What the source's bytes count as. */
  readonly origin: 'network' | 'local'
  /** Held by who downloads a file. */
  readonly lockOf: (sha256: string) => string
  /** What the store has of a file, now. */
  readonly open: (file: ManifestFile) => Promise<StoredFile>
  /** Somebody else downloads the file. */
  readonly onWait: (file: string) => void
  readonly onVerify: (file: string) => void
  readonly onRetry: (file: string, reason: string, waitMs: number) => void
}

/**
 * A file in chunks, in order: from the store what it has, from the source the rest, which goes to hash, store and reader at once. The last
 * chunk comes only when the hash of the whole file has matched; else it throws `integrity`. While a file is downloaded others wait.
 */
export async function* streamFile(
  context: LoadContext,
  file: ManifestFile,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  let stored = await context.open(file)
  let release = () => {}
  if (!stored.isWhole) {
    const onWait = () => context.onWait(file.path)
    release = await acquireLock(context.lockOf(file.sha256), context.signal, onWait).catch((cause: unknown) =>
      Promise.reject(context.signal.aborted ? aborted(file.path, cause) : cause),
    )
    stored = await context.open(file) // somebody may have brought it in the meantime
  }
  try {
    yield* new FileStream(context, file, stored).chunks()
  } finally {
    release()
  }
}

/** One pass through one file. What has arrived and is not kept yet is never more than one chunk: that much a cut may cost. */
class FileStream {
  readonly #context: LoadContext
  readonly #file: ManifestFile
  readonly #stored: StoredFile
  /** Fires when the reader leaves, too. */
  readonly #signal: AbortSignal
  readonly #stop = new AbortController()
  readonly #download: AsyncGenerator<Uint8Array<ArrayBuffer>> | undefined
  readonly #awaited: ReadonlySet<number>

  constructor(context: LoadContext, file: ManifestFile, stored: StoredFile) {
    this.#context = context
    this.#file = file
    this.#stored = stored
    this.#signal = AbortSignal.any([context.signal, this.#stop.signal])
    const { missing } = stored
    this.#awaited = new Set(missing)
    this.#download = missing.length === 0 ? undefined : this.#fetch(missing)
  }

  async *chunks(): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { signal, meter, onVerify } = this.#context
    const { numChunks, isSealed } = this.#stored
    const hash = isSealed ? undefined : await streamingSha256()
    const breath = createBreath()
    let ahead = this.#bring(0)
    try {
      for (let index = 0; index < numChunks; index++) {
        if (signal.aborted) throw aborted(this.#file.path)
        const isLast = index + 1 === numChunks
        const { bytes, isKept } = await meter.time(ahead)
        if (isKept) meter.count(this.#file.path, 'store', bytes.byteLength, isLast)
        // The store writes while the hash is computed, but for the last chunk, which must not make a wrong file whole.
        const early = isLast ? undefined : this.#keep(index, bytes, isKept, false)
        if (hash !== undefined) await meter.timeHash(hashGently(hash, bytes, breath))
        if (isLast) onVerify(this.#file.path)
        if (isLast && hash !== undefined) await this.#compareWhole(hash.hex())
        const keeping = early ?? this.#keep(index, bytes, isKept, true)
        // The next one comes while whoever asked works on this one.
        if (!isLast) ahead = keeping.then(() => this.#bring(index + 1))
        ahead.catch(() => {}) // heard of when its turn comes, or nobody waits any more
        yield bytes
        await keeping
      }
    } finally {
      breath.dispose()
      this.#stop.abort()
      await ahead.catch(() => {}) // whoever left does not want it
      await this.#download?.return(undefined)
    }
  }

  /** The next chunk, from the store or the source. */
  async #bring(index: number): Promise<{ bytes: Uint8Array<ArrayBuffer>; isKept: boolean }> {
    const kept = await this.#read(index)
    return kept === undefined
      ? { bytes: await this.#next(index), isKept: false }
      : { bytes: kept, isKept: true }
  }

  /** A chunk that the store has and that is right. A store that cannot be read has nothing. */
  async #read(index: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    if (!this.#stored.has(index)) return undefined
    return this.#stored.read(index).catch(() => undefined) // the keeper meets the same trouble next, and says so
  }

  /** A chunk that the store does not have. */
  async #next(index: number): Promise<Uint8Array<ArrayBuffer>> {
    const isAwaited = this.#awaited.has(index)
    const download = isAwaited ? this.#download : this.#fetch([index])
    const next = await download?.next()
    if (!isAwaited) await download?.return(undefined) // nothing more is wanted of it
    if (next?.done !== false) throw new Error('a download ended before its last chunk')
    const expected = this.#stored.expectedHash(index)
    if (expected !== undefined) this.#compare(await this.#hashOf(next.value), expected)
    return next.value
  }

  #fetch(indices: readonly number[]): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { source, origin, meter, onRetry } = this.#context
    let awaited = indices.reduce((sum, index) => sum + this.#stored.lengthOf(index), 0)
    return source.readChunks({
      file: this.#file,
      chunkBytes: this.#stored.chunkBytes,
      indices,
      signal: this.#signal,
      onBytes: (bytes) => meter.count(this.#file.path, origin, bytes, (awaited -= bytes) === 0),
      onRetry: (reason, waitMs) => onRetry(this.#file.path, reason, waitMs),
    })
  }

  async #keep(
    index: number,
    bytes: Uint8Array<ArrayBuffer>,
    isKept: boolean,
    isLast: boolean,
  ): Promise<void> {
    const { keeper } = this.#context
    const seals = isLast && !this.#stored.isSealed
    if (!isKept) {
      const sha256 = await this.#hashOf(bytes)
      await keeper.keep(() => this.#stored.keep(index, bytes, sha256, seals))
    } else if (seals) await keeper.keep(() => this.#stored.seal())
  }

  #hashOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
    return this.#context.meter.timeHash(sha256Of(bytes))
  }

  /** Other models may share the file: what was kept of it must not spoil their loads. */
  async #compareWhole(found: string): Promise<void> {
    if (found !== this.#file.sha256) await this.#context.keeper.keep(() => this.#stored.forget())
    this.#compare(found, this.#file.sha256)
  }

  #compare(found: string, expected: string): void {
    if (found === expected) return
    const { path } = this.#file
    const advice =
      'Nothing was kept. Load again; if it stays, the server holds another file than the manifest describes.'
    const message = `${this.#context.source.address}${path} is not the file that the manifest describes. Its SHA-256 is ${found}, not ${expected}. ${advice}`
    throw new EngineError('integrity', message, { file: path })
  }
}
