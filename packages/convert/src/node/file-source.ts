import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import type { ByteSource } from '../checkpoint/byte-source.ts'
import { cutOff } from '../checkpoint/byte-source.ts'
import { ConvertError } from '../convert-error.ts'

/** A file of the disk. */
export class FileSource implements ByteSource {
  readonly name: string
  readonly bytes: number
  readonly #file: number

  constructor(path: string) {
    this.name = path
    this.#file = openSync(path, 'r')
    this.bytes = fstatSync(this.#file).size
  }

  read(offset: number, length: number): Uint8Array<ArrayBuffer> {
    if (offset + length > this.bytes) throw cutOff(this)
    const bytes = new Uint8Array(length)
    let done = 0
    while (done < length) {
      const count = readSync(this.#file, bytes, done, length - done, offset + done)
      if (count === 0) throw new ConvertError(`${this.name} became shorter while it was read`)
      done += count
    }
    return bytes
  }

  dispose(): void {
    closeSync(this.#file)
  }
}
