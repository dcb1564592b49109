import type { PickedFile } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { chunkLength } from '../storage/file-journal.ts'
import type { ChunkRequest, ModelSource } from './model-source.ts'
import { aborted } from './retry.ts'

/** A model folder of files that the user picked or dropped. */
export class BlobSource implements ModelSource {
  readonly address: string
  readonly origin = 'local'
  readonly #files: ReadonlyMap<string, Blob>

  /** @param address under which the store keeps it. Paths of `files` are those of the manifest. */
  constructor(address: string, files: readonly PickedFile[]) {
    this.address = address
    this.#files = new Map(files.map(({ path, blob }) => [path, blob]))
  }

  async readText(path: string, signal: AbortSignal): Promise<string> {
    return reading(path, signal, () => this.#file(path).text())
  }

  async *readChunks({
    file,
    chunkBytes,
    indices,
    signal,
    onBytes,
  }: ChunkRequest): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const blob = this.#file(file.path)
    if (blob.size !== file.bytes) {
      const message = `${file.path} has ${blob.size} bytes and the manifest promises ${file.bytes}. Pick the whole model folder.`
      throw new EngineError('integrity', message, { file: file.path })
    }
    for (const index of indices) {
      const from = index * chunkBytes
      const part = blob.slice(from, from + chunkLength({ bytes: file.bytes, chunkBytes }, index))
      const bytes = new Uint8Array(await reading(file.path, signal, () => part.arrayBuffer()))
      onBytes(bytes.byteLength)
      yield bytes
    }
  }

  #file(path: string): Blob {
    const blob = this.#files.get(path)
    if (blob !== undefined) return blob
    throw new EngineError(
      'model_not_found',
      `${path} is not among the picked files. Pick the whole model folder.`,
      {
        file: path,
      },
    )
  }
}

/** What a model that came from picked files is called: where it is stored, it loads by this. */
export const pickedAddress = (id: string) => `picked:${id}/`

/** Whether a model folder is among picked files. */
export function hasManifest(files: readonly PickedFile[]): boolean {
  return files.some(({ path }) => path === 'manifest.json' || path.endsWith('/manifest.json'))
}

/** The picked files by their path from the folder that holds the manifest. Throws `model_not_found` when none does. */
export function folderOf(files: readonly PickedFile[]): readonly PickedFile[] {
  const [manifest] = files
    .filter(({ path }) => path === 'manifest.json' || path.endsWith('/manifest.json'))
    .toSorted((left, right) => left.path.length - right.path.length)
  if (manifest === undefined) {
    throw new EngineError(
      'model_not_found',
      'None of the picked files is manifest.json. Pick the whole model folder; `models.convert` makes one of a .gguf file or of safetensors.',
      {
        file: 'manifest.json',
      },
    )
  }
  const folder = manifest.path.slice(0, -'manifest.json'.length)
  return files
    .filter(({ path }) => path.startsWith(folder))
    .map(({ path, blob }) => ({ path: path.slice(folder.length), blob }))
}

async function reading<T>(path: string, signal: AbortSignal, read: () => Promise<T>): Promise<T> {
  if (signal.aborted) throw aborted(path)
  try {
    return await read()
  } catch (cause) {
    const message = `${path} cannot be read any more. Was it moved or changed? Pick the folder again.`
    throw new EngineError('model_not_found', message, { file: path, cause })
  }
}
