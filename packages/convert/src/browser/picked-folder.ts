import type { PickedFile } from '@tabserve/protocol'
import type { ByteSource } from '../checkpoint/byte-source.ts'
import type { SourceFolder } from '../checkpoint/source-folder.ts'
import { ConvertError } from '../convert-error.ts'
import { BlobBytes } from './blob-bytes.ts'

/** The picked files that lie in one folder. */
export class PickedFolder implements SourceFolder {
  readonly name: string
  readonly #path: string
  readonly #files: ReadonlyMap<string, Blob>

  /** @param path of the folder, as the files' paths have it: empty, or with a slash at its end. */
  constructor(files: readonly PickedFile[], path: string) {
    this.name = path === '' ? 'the picked folder' : path.slice(0, -1)
    this.#path = path
    this.#files = new Map(files.map((file) => [file.path, file.blob]))
  }

  pathOf(file: string): string {
    return this.#path + file
  }

  has(file: string): boolean {
    return this.#files.has(this.pathOf(file))
  }

  read(file: string): Uint8Array<ArrayBuffer> {
    const source = this.open(file)
    return source.read(0, source.bytes)
  }

  open(file: string): ByteSource {
    const path = this.pathOf(file)
    const blob = this.#files.get(path)
    if (blob !== undefined) return new BlobBytes(path, blob)
    throw new ConvertError(`${path} is not among the picked files`, { kind: 'missing', file: path })
  }
}
