import type { LoadProgress, Manifest, ManifestFile } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { createBreath } from '../../breath.ts'
import { acquireLock } from '../../storage/lock.ts'
import type { StoredFile } from '../../storage/stored-file.ts'
import type { WeightStore } from '../../storage/weight-store.ts'
import type { Keeper } from '../keeper.ts'
import { LoadMeter } from '../load-meter.ts'
import { idOf } from '../manifest-text.ts'
import { aborted } from '../retry.ts'
import { hashGently, sha256Of, streamingSha256 } from '../sha256.ts'
import type { UnprovenSource } from '../model-source.ts'

export interface FirstUseOptions {
  readonly store: WeightStore
  readonly keeper: Keeper
  readonly signal: AbortSignal
  readonly onProgress: (progress: LoadProgress) => void
}

/** A manifest whose hashes are all hashes, and what it took to know them. */
export interface ProvenManifest {
  readonly manifest: Manifest
  readonly networkBytes: number
}

/**
 * Trust on first use: brings the files of which nobody says a hash, and writes down what it is. They are kept under their provisional ids until they are whole;
 * then they go by their hashes, which every later download is held against. What cannot be kept is brought again by the load itself.
 */
export class FirstUse {
  readonly #source: UnprovenSource
  readonly #options: FirstUseOptions
  readonly #meter: LoadMeter
  #manifest: Manifest

  constructor(source: UnprovenSource, manifest: Manifest, options: FirstUseOptions) {
    this.#source = source
    this.#manifest = manifest
    this.#options = options
    const unproven = manifest.files.filter(({ path }) => source.unproven.has(path))
    const totalBytes = unproven.reduce((sum, { bytes }) => sum + bytes, 0)
    this.#meter = new LoadMeter(totalBytes, options.onProgress)
  }

  /** Throws as downloads do, and `integrity` where a file changes on its way. */
  async run(): Promise<ProvenManifest> {
    const { store, signal } = this.#options
    for (const file of this.#manifest.files) {
      if (!this.#source.unproven.has(file.path)) continue
      const release = await acquireLock(store.lockOf(file.sha256), signal).catch((cause: unknown) =>
        Promise.reject(signal.aborted ? aborted(file.path, cause) : cause),
      )
      try {
        // Somebody may have brought it before, or while this waited.
        const known = await store.adoptedAs(file.sha256).catch(() => undefined)
        if (known === undefined) await this.#bring(file)
        else await this.#book(file, known)
      } finally {
        release()
      }
    }
    return { manifest: this.#manifest, networkBytes: this.#meter.networkBytes }
  }

  async #bring(file: ManifestFile): Promise<void> {
    const { store, keeper } = this.#options
    const stored = await store.file(file)
    const sha256 = await this.#download(file, stored)
    await this.#expectUnchanged(file.path, stored)
    await this.#book(file, sha256)
    await keeper.keep(() => stored.adopt(sha256))
  }

  /** Returns the hash of what came. */
  async #download(file: ManifestFile, stored: StoredFile): Promise<string> {
    const { keeper, signal } = this.#options
    const [hash, breath] = [await streamingSha256(), createBreath()]
    const { missing } = stored
    const coming = missing.length === 0 ? undefined : this.#fetch(file, stored, missing)
    try {
      for (let index = 0; index < stored.numChunks; index++) {
        if (signal.aborted) throw aborted(file.path)
        const kept = await stored.read(index).catch(() => undefined) // what cannot be read is fetched
        const source = missing.includes(index) ? coming : this.#fetch(file, stored, [index])
        const bytes = kept ?? (await source?.next())?.value
        if (bytes === undefined) throw new Error('a download ended before its last chunk')
        await hashGently(hash, bytes, breath)
        if (kept !== undefined) this.#meter.count(file.path, 'store', kept.byteLength)
        else {
          const sha256 = await sha256Of(bytes)
          await keeper.keep(() => stored.keep(index, bytes, sha256, false))
        }
      }
    } finally {
      breath.dispose()
      await coming?.return(undefined)
    }
    return hash.hex()
  }

  #fetch(
    file: ManifestFile,
    { chunkBytes }: StoredFile,
    indices: readonly number[],
  ): AsyncGenerator<Uint8Array<ArrayBuffer>, undefined> {
    const { signal, onProgress } = this.#options
    const source = this.#source
    async function* chunks(onBytes: (bytes: number) => void) {
      yield* source.readChunks({
        file,
        chunkBytes,
        indices,
        signal,
        onBytes,
        onRetry: (reason, waitMs) =>
          onProgress({ type: 'load-progress', phase: 'retry', file: file.path, reason, waitMs }),
      })
      return undefined
    }
    return chunks((bytes) => this.#meter.count(file.path, 'network', bytes))
  }

  /** Pieces of two versions, one after the other, would be a file that never was. */
  async #expectUnchanged(path: string, stored: StoredFile): Promise<void> {
    const before = this.#source.unproven.get(path)
    const now = await this.#source.lookAgain(path, this.#options.signal)
    if (now?.bytes === before?.bytes && now?.validator === before?.validator) return
    await this.#options.keeper.keep(() => stored.forget())
    const message = `${this.#source.address}${path} changed while it was downloaded. Load again.`
    throw new EngineError('integrity', message, { file: path })
  }

  /** From now on the model needs the file under its hash too; booked before it goes by it, or a clean-up elsewhere would take it for nobody's. */
  async #book(file: ManifestFile, sha256: string): Promise<void> {
    const { store, keeper } = this.#options
    const files = this.#manifest.files.map((other) =>
      other.path === file.path ? { ...other, sha256 } : other,
    )
    this.#manifest = { ...this.#manifest, files }
    const { address } = this.#source
    const manifest = this.#manifest
    await keeper.keep(() =>
      store.beginDownload({
        address,
        id: idOf(manifest),
        manifest: JSON.stringify(manifest),
        files: [...files, file],
      }),
    )
  }
}
