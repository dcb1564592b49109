import type { HubModel } from '@tabserve/protocol'
import { hubAddress } from '@tabserve/protocol'
import { chunkLength } from '../../storage/file-journal.ts'
import type { Http } from '../http.ts'
import { HttpSource } from '../http-source.ts'
import { MANIFEST, parseManifest } from '../manifest-text.ts'
import type { ChunkRequest, UnprovenSource } from '../model-source.ts'
import type { RetryPolicy } from '../retry.ts'
import { RETRY_POLICY } from '../retry.ts'
import { apiListing } from './api-listing.ts'
import { HubClient } from './hub-client.ts'
import type { HubPreview } from './hub-repository.ts'
import { HubRepository } from './hub-repository.ts'
import type { HubFile } from './listing.ts'
import { plainListing } from './plain-listing.ts'

export interface HubSourceOptions {
  readonly http: Http
  readonly retries?: RetryPolicy | undefined
  readonly token?: string | undefined
  /** The text of the manifest that the store has of this model. */
  readonly stored?: string | undefined
}

/**
 * A repository of the Hugging Face hub, or of a server that is laid out like it. Its manifest is made from what the hub lists, or is its own where it holds a
 * model folder of ours; all files then come from one commit.
 */
export class HubSource implements UnprovenSource {
  readonly address: string
  readonly origin = 'network'
  readonly #model: HubModel
  readonly #options: HubSourceOptions
  #repository: HubRepository | undefined

  constructor(model: HubModel, options: HubSourceOptions) {
    this.address = hubAddress(model)
    this.#model = model
    this.#options = options
  }

  /** Files that have a provisional id for a hash in the manifest that was read: nobody says what their hash is. */
  get unproven(): ReadonlyMap<string, HubFile> {
    return this.#repository?.unproven ?? new Map()
  }

  /** Throws as `Http.get` does, and `bad_model` for a repository that holds no model that can be run. */
  async readText(path: string, signal: AbortSignal): Promise<string> {
    if (path !== MANIFEST) throw new Error(`a repository is asked for its manifest, not for ${path}`)
    const repository = await this.#open(signal)
    this.#repository = repository
    const { stored } = this.#options
    const isStored = repository.commit !== undefined && repository.commit === this.#storedOrigin()?.commit
    if (stored !== undefined && isStored) return stored
    return `${JSON.stringify(await repository.manifest(), null, 2)}\n`
  }

  /** Sizes and dtypes of what a load would bring. Throws as `readText` does. */
  async preview(signal: AbortSignal): Promise<HubPreview> {
    return (await this.#open(signal)).preview()
  }

  async *readChunks(request: ChunkRequest): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { file, chunkBytes, indices, onBytes } = request
    const bytes = this.#repository?.read.get(file.path)
    if (bytes?.byteLength !== file.bytes) return yield* this.#files().readChunks(request)
    for (const index of indices) {
      const from = index * chunkBytes
      const chunk = bytes.slice(from, from + chunkLength({ bytes: file.bytes, chunkBytes }, index))
      onBytes(chunk.byteLength)
      yield chunk
    }
  }

  /** A file's size and validator as they are now. `undefined`: it is not there any more. */
  async lookAgain(path: string, signal: AbortSignal): Promise<HubFile | undefined> {
    return (await this.#open(signal)).find(path)
  }

  async #open(signal: AbortSignal): Promise<HubRepository> {
    const { http, retries = RETRY_POLICY, token } = this.#options
    const client = new HubClient(http, retries, token, signal)
    const listing = (await apiListing(client, this.#model)) ?? (await plainListing(client, this.#model))
    return new HubRepository(listing, this.#model)
  }

  /** A model that is stored, and of which a piece is missing, is asked for where it came from. */
  #files(): HttpSource {
    const folder = this.#repository?.folder ?? this.#storedOrigin()?.folder
    if (folder === undefined) throw new Error('a repository was asked for a file before its manifest')
    const { http, retries, token } = this.#options
    return new HttpSource(folder, http, retries, token)
  }

  #storedOrigin() {
    const { stored } = this.#options
    return stored === undefined ? undefined : parseManifest(stored, this.address).source
  }
}
