import type { LoadReport, Manifest, ManifestFile } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { WeightStore } from '../storage/weight-store.ts'
import type { LoadContext } from './file-stream.ts'
import { streamFile } from './file-stream.ts'
import type { ModelFiles } from './model-files.ts'
import { joined, slices } from './model-files.ts'

/** A model whose files can be read. What they bring is right chunk by chunk or fails; the model as a whole is not kept before `finish`. */
export class OpenedModel {
  readonly manifest: Manifest
  readonly files: ModelFiles
  readonly #store: WeightStore
  readonly #context: LoadContext
  /** Paths of files of which somebody has had the last chunk. */
  readonly #read = new Set<string>()

  constructor(store: WeightStore, manifest: Manifest, context: LoadContext) {
    this.manifest = manifest
    this.#store = store
    this.#context = context
    this.files = {
      bytes: (path) => joined(this.#stream(path), this.#file(path).bytes),
      chunks: (path) => slices(this.#stream(path)),
    }
  }

  /** Under which the store keeps it. */
  get address(): string {
    return this.#context.source.address
  }

  /**
   * Brings what nobody has asked for, so that the folder is whole, and keeps the model. What the store has already is not read again. Throws as a
   * download does.
   */
  async finish(): Promise<
    Pick<LoadReport, 'networkBytes' | 'storedBytes' | 'localBytes' | 'fetchMs' | 'hashMs' | 'notStored'>
  > {
    const { keeper, meter, source } = this.#context
    for (const file of this.manifest.files) {
      if (this.#read.has(file.path)) continue
      const isThere = (await this.#context.open(file)).isWhole
      if (isThere) meter.count(file.path, 'store', file.bytes, true)
      else if (keeper.warning === undefined) for await (const _ of this.#stream(file.path)); // for the store alone
    }
    await keeper.keep(() => this.#store.finishDownload(source.address))
    // A part that can never become whole only takes room.
    if (keeper.warning !== undefined) await this.#store.dropDownload(source.address).catch(() => {}) // and the warning has said why
    return {
      networkBytes: meter.networkBytes,
      storedBytes: meter.storedBytes,
      localBytes: meter.localBytes,
      fetchMs: meter.waitedMs,
      hashMs: meter.hashedMs,
      ...(keeper.warning === undefined ? {} : { notStored: keeper.warning }),
    }
  }

  async *#stream(path: string): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    try {
      yield* streamFile(this.#context, this.#file(path))
      this.#read.add(path)
    } catch (error) {
      if (error instanceof EngineError && error.code === 'integrity') await this.#distrust()
      throw error
    }
  }

  /** A folder with one bad file is not trusted with the others: what this load, or the ones that it goes on with, had kept of it is forgotten. */
  async #distrust(): Promise<void> {
    const { address } = this.#context.source
    const isNew = (await this.#store.isDownloading(address).catch(() => false)) === true
    // The bad file is the news; a store that cannot forget just now holds nothing that would pass for right.
    await (isNew ? this.#store.dropDownload(address) : this.#store.remove(address)).catch(() => {})
  }

  #file(path: string): ManifestFile {
    const file = this.manifest.files.find((file) => file.path === path)
    if (file === undefined) throw new Error(`the manifest lists no file ${path}`)
    return file
  }
}
