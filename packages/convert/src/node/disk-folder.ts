import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ByteSource } from '../checkpoint/byte-source.ts'
import type { SourceFolder } from '../checkpoint/source-folder.ts'
import { FileSource } from './file-source.ts'

/** A folder of the disk. */
export class DiskFolder implements SourceFolder {
  readonly name: string

  constructor(path: string) {
    this.name = path
  }

  pathOf(file: string): string {
    return join(this.name, file)
  }

  has(file: string): boolean {
    return existsSync(this.pathOf(file))
  }

  read(file: string): Uint8Array<ArrayBuffer> {
    return new Uint8Array(readFileSync(this.pathOf(file)))
  }

  open(file: string): ByteSource {
    return new FileSource(this.pathOf(file))
  }
}
