import { ConvertError } from '../convert-error.ts'

/** A file that is read in pieces, where they are needed. Reading waits: weights are pulled by code that computes, piece by piece. */
export interface ByteSource {
  readonly name: string
  readonly bytes: number
  /** A copy that begins at an aligned address. Throws where the file ends before. */
  read(offset: number, length: number): Uint8Array<ArrayBuffer>
  dispose(): void
}

export function cutOff({ name, bytes }: Pick<ByteSource, 'name' | 'bytes'>): ConvertError {
  return new ConvertError(`${name} ends at ${bytes} bytes; it is cut off`, { kind: 'damaged', file: name })
}
