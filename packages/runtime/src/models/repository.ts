import type { LoadProgress, LoadReport, Manifest, ManifestFile } from '@tabserve/protocol'
import { EngineError, manifestProblem } from '@tabserve/protocol'
import type { WeightStore } from '../storage/weight-store.ts'
import { downloadFile, downloadText } from './download.ts'
import type { ModelFiles } from './model-files.ts'
import { memoryFiles } from './model-files.ts'
import { sha256Of } from './sha256.ts'

export interface OpenedModel {
  readonly manifest: Manifest
  readonly files: ModelFiles
  readonly report: Pick<LoadReport, 'networkBytes' | 'storedBytes' | 'fetchMs' | 'notStored'>
}

export interface OpenOptions {
  readonly signal: AbortSignal
  readonly onProgress: (progress: LoadProgress) => void
  /** Ask the network for the manifest first. */
  readonly refresh: boolean
}

const MANIFEST = 'manifest.json'

/** Model folders by their address: from the store where it has them, from the network where not, always checked. */
export class ModelRepository {
  readonly #store: WeightStore

  constructor(store: WeightStore) {
    this.#store = store
  }

  /**
   * Brings every file of the model at `url` into memory, and into the store. A model that the store holds whole is read
   * without one request. Throws `model_not_found`, `bad_model`, `integrity`, `network` or `aborted`.
   * @param url absolute, of the folder.
   */
  async open(url: string, { signal, onProgress, refresh }: OpenOptions): Promise<OpenedModel> {
    const started = performance.now()
    const folder = url.endsWith('/') ? url : `${url}/`
    const kept = refresh ? undefined : await this.#tolerate(() => this.#store.readManifest(folder))
    const text = kept ?? (await downloadText(new URL(MANIFEST, folder).href, MANIFEST, signal))
    const manifest = parseManifest(text, folder)
    const files = new Map<string, Uint8Array<ArrayBuffer>>()
    const written: string[] = []
    const totalBytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
    const bytesFrom = { network: 0, store: 0 }
    let notStored: string | undefined

    for (const file of manifest.files) {
      // The store takes no signal, and a load may have been cancelled while it waited for another.
      if (signal.aborted) throw new EngineError('aborted', 'The load was stopped.')
      const count = (source: 'network' | 'store') => (bytes: number) => {
        bytesFrom[source] += bytes
        const loadedBytes = bytesFrom.network + bytesFrom.store
        onProgress({
          type: 'load-progress',
          phase: 'fetch',
          file: file.path,
          source,
          loadedBytes,
          totalBytes,
        })
      }
      const stored = await this.#readStored(file)
      if (stored !== undefined) count('store')(stored.byteLength)
      const bytes = stored ?? (await this.#download(folder, file, signal, count('network'), written))
      onProgress({ type: 'load-progress', phase: 'verify', file: file.path })
      if (stored === undefined) {
        notStored ??= await failureOf(this.#store.writeFile(file.sha256, bytes))
        written.push(file.sha256)
      }
      files.set(file.path, bytes)
    }
    // The manifest last: where one is kept, its files were.
    notStored ??= await failureOf(this.#store.writeManifest(folder, text))
    const report = {
      networkBytes: bytesFrom.network,
      storedBytes: bytesFrom.store,
      fetchMs: performance.now() - started,
    }
    return { manifest, files: memoryFiles(files), report: notStored === undefined ? report : { ...report, notStored } }
  }

  /** Forgets the model at `url` and the files that no other kept model uses, or everything. Throws `storage`. */
  async clear(url?: string): Promise<void> {
    try {
      if (url === undefined) return await this.#store.clear()
      const folder = url.endsWith('/') ? url : `${url}/`
      const mine = await this.#filesOf(folder)
      const others = (await this.#store.listManifests()).filter((other) => other !== folder)
      const used = new Set((await Promise.all(others.map((other) => this.#filesOf(other)))).flat())
      await this.#store.remove(
        folder,
        mine.filter((sha256) => !used.has(sha256)),
      )
    } catch (cause) {
      throw new EngineError('storage', `The weight store could not be cleared: ${String(cause)}`, { cause })
    }
  }

  /** A folder with one bad file is not trusted with the others: what this load had kept of it is forgotten. */
  async #download(
    folder: string,
    file: ManifestFile,
    signal: AbortSignal,
    onBytes: (bytes: number) => void,
    written: readonly string[],
  ): Promise<Uint8Array<ArrayBuffer>> {
    try {
      return await downloadFile(folder, file, signal, onBytes)
    } catch (error) {
      const bad = error instanceof EngineError && error.code === 'integrity'
      // The download's error is the news; a store that cannot forget just now holds nothing wrong.
      if (bad) await failureOf(this.#store.remove(folder, written))
      throw error
    }
  }

  async #filesOf(folder: string): Promise<string[]> {
    const text = await this.#store.readManifest(folder)
    return text === undefined ? [] : parseManifest(text, folder).files.map((file) => file.sha256)
  }

  /** A stored file that is still what was stored; one that rotted is fetched again. */
  async #readStored({ sha256 }: ManifestFile): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = await this.#tolerate(() => this.#store.readFile(sha256))
    return bytes !== undefined && (await sha256Of(bytes)) === sha256 ? bytes : undefined
  }

  /** A store that cannot be read is an empty one: the network still has the model. */
  async #tolerate<T>(read: () => Promise<T | undefined>): Promise<T | undefined> {
    try {
      return await read()
    } catch {
      return undefined // `writeFile` meets the same trouble next, and the report says so
    }
  }
}

function parseManifest(text: string, folder: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw badManifest(folder, 'it is not JSON', cause)
  }
  const problem = manifestProblem(value)
  if (problem !== undefined) throw badManifest(folder, problem)
  return value as Manifest // manifestProblem has looked at every field
}

function badManifest(folder: string, problem: string, cause?: unknown): EngineError {
  const message = `${folder}${MANIFEST} is not the manifest of a tabserve model: ${problem}. Make the folder with \`convert\`.`
  return new EngineError('bad_model', message, { file: MANIFEST, cause })
}

async function failureOf(write: Promise<void>): Promise<string | undefined> {
  try {
    await write
    return undefined
  } catch (error) {
    return error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  }
}
