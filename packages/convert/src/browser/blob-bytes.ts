import type { ByteSource } from '../checkpoint/byte-source.ts'
import { cutOff } from '../checkpoint/byte-source.ts'
import { ConvertError } from '../convert-error.ts'

/** What TypeScript's DOM library leaves to workers. */
declare class FileReaderSync {
  readAsArrayBuffer(blob: Blob): ArrayBuffer
}

/** A picked file, in a worker: only there a file can be read without an event in between. */
export class BlobBytes implements ByteSource {
  readonly name: string
  readonly bytes: number
  readonly #blob: Blob
  readonly #reader = new FileReaderSync()

  constructor(name: string, blob: Blob) {
    this.name = name
    this.bytes = blob.size
    this.#blob = blob
  }

  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    if (offset + length > this.bytes) throw cutOff(this)
    return new Uint8Array(this.#take(this.#blob.slice(offset, offset + length)))
  }

  dispose(): void {} // a blob is the browser's

  /** Browsers refuse a file that was changed, moved or locked since it was picked. */
  #take(part: Blob): ArrayBuffer {
    try {
      return this.#reader.readAsArrayBuffer(part)
    } catch {
      throw new ConvertError(`${this.name} cannot be read any more: it was moved or changed`, {
        kind: 'missing',
        file: this.name,
      })
    }
  }
}
