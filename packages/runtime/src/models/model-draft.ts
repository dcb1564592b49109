import type { ManifestFile } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { createBreath } from '../breath.ts'
import type { FileDraft } from '../storage/file-draft.ts'
import { chunkLength } from '../storage/file-journal.ts'
import type { WeightStore } from '../storage/weight-store.ts'
import { pickedAddress } from './blob-source.ts'
import { ChunkAssembler } from './chunk-assembler.ts'
import { warningOf } from './keeper.ts'
import { idOf, parseManifest } from './manifest-text.ts'
import { hashGently, sha256Of, streamingSha256 } from './sha256.ts'

/** A file of a model that is being made. */
export interface FileInTheMaking {
  readonly path: string
  readonly bytes: number
  /** Made as they are asked for; each is read before the next. */
  readonly chunks: Iterable<Uint8Array>
}

/**
 * A model that is being made here: its files go to the store chunk by chunk, and are a model there with its manifest. Throws `storage` where there is
 * no room, `aborted` by the signal; then nothing of it stays.
 */
export class ModelDraft {
  readonly #store: WeightStore
  readonly #signal: AbortSignal
  readonly #breath = createBreath()
  readonly #files: { readonly listed: ManifestFile; readonly draft: FileDraft }[] = []
  /** Drafts that are no files yet. */
  readonly #loose = new Set<FileDraft>()
  #address: string | undefined

  constructor(store: WeightStore, signal: AbortSignal) {
    this.#store = store
    this.#signal = signal
  }

  /** Under which the store keeps the finished model. */
  get address(): string {
    if (this.#address === undefined) throw new Error('the draft was not finished')
    return this.#address
  }

  async write({ path, bytes, chunks }: FileInTheMaking): Promise<ManifestFile> {
    await storing(() => this.#makeRoom(bytes))
    const draft = await storing(() => this.#store.draft(bytes))
    this.#loose.add(draft)
    const { chunkBytes } = draft
    const numChunks = Math.ceil(bytes / chunkBytes)
    const assembler = new ChunkAssembler(
      Array.from({ length: numChunks }, (_, index) => ({
        from: index * chunkBytes,
        numBytes: chunkLength({ bytes, chunkBytes }, index),
      })),
    )
    const hash = await streamingSha256()
    let taken = 0
    for (const piece of chunks) {
      for (const chunk of assembler.take(taken, piece, () => {})) {
        await hashGently(hash, chunk, this.#breath)
        const sha256 = await sha256Of(chunk)
        await storing(() => this.#store.withRoom('', () => draft.keep(chunk, sha256)))
      }
      taken += piece.byteLength
      await this.#breath.take() // a cancel comes in here, and requests to the models of this worker
      this.#assertWanted()
    }
    if (taken !== bytes) throw new Error(`${path} became ${taken} bytes, and ${bytes} were announced`)
    const listed = { path, bytes, sha256: hash.hex() }
    this.#files.push({ listed, draft })
    return listed
  }

  async finish(manifest: string): Promise<void> {
    this.#assertWanted()
    const id = idOf(parseManifest(manifest, ''))
    const address = pickedAddress(id)
    const files = this.#files.map(({ listed }) => listed)
    await storing(async () => {
      await this.#store.beginDownload({ address, id, manifest, files })
      try {
        for (const { listed, draft } of this.#files) {
          await draft.adopt(listed.sha256, this.#signal)
          this.#loose.delete(draft)
        }
        this.#assertWanted()
        await this.#store.finishDownload(address)
      } catch (error) {
        await this.#store.dropDownload(address)
        this.#assertWanted() // who waits for a lock is told of the signal in the platform's words
        throw error
      }
    })
    this.#address = address
  }

  /** Forgets what did not become a model. */
  async dispose(): Promise<void> {
    this.#breath.dispose()
    // A store that cannot remove just now does so at the next repair: no journal speaks of these chunks.
    await Promise.allSettled([...this.#loose].map((draft) => draft.discard()))
  }

  /** Drafts are in no journal, so the store does not count them. */
  async #makeRoom(bytes: number): Promise<void> {
    const wanted = this.#files.reduce((sum, { listed }) => sum + listed.bytes, bytes)
    if (await this.#store.makeRoom(wanted, '')) return
    const message = `The model needs ${wanted} bytes, and the budget of ${this.#store.budgetBytes} has no room for them.`
    throw new EngineError(
      'storage',
      `${message} Raise it, unpin or remove other models, or choose smaller weights.`,
    )
  }

  #assertWanted(): void {
    if (this.#signal.aborted)
      throw new EngineError('aborted', 'The conversion was stopped. Nothing of it was kept.')
  }
}

async function storing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof EngineError) throw cause
    throw new EngineError('storage', warningOf(cause).message, { cause })
  }
}
