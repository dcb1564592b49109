import { ConvertError } from '../convert-error.ts'
import type { ByteSource } from './byte-source.ts'

/** A checkpoint's folder, wherever it lies. Files are named as they are in it. */
export interface SourceFolder {
  readonly name: string
  /** What messages call a file. */
  pathOf(file: string): string
  has(file: string): boolean
  /** A small file, whole. Throws where it cannot be read. */
  read(file: string): Uint8Array<ArrayBuffer>
  /** A large one, in pieces. Whoever opens it disposes of it. */
  open(file: string): ByteSource
}

export function readText(folder: SourceFolder, file: string): string {
  return new TextDecoder('utf-8', { ignoreBOM: true }).decode(folder.read(file))
}

/** A JSON file of a folder. */
export function readJson(folder: SourceFolder, file: string): unknown {
  try {
    return JSON.parse(readText(folder, file))
  } catch (cause) {
    const path = folder.pathOf(file)
    const reason = cause instanceof Error ? cause.message : String(cause)
    const kind = folder.has(file) ? 'damaged' : 'missing'
    throw new ConvertError(`${path} cannot be read as JSON: ${reason}`, { kind, file: path })
  }
}
