import { createBreath } from '../breath.ts'

/** The files of an opened model, by their path in the manifest. */
export interface ModelFiles {
  /** A whole file, verified. */
  bytes(path: string): Promise<Uint8Array<ArrayBuffer>>
  /**
   * A file in pieces, in order, at most 16 MB each: nothing holds it whole. Throws `integrity`, at the latest at the end, where what was
   * read is not what the manifest says. The pieces are not to be changed.
   */
  chunks(path: string): AsyncIterable<Uint8Array<ArrayBuffer>>
}

/** Files that are in memory already, and known to be right. */
export function memoryFiles(files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>): ModelFiles {
  const bytesOf = (path: string) => {
    const bytes = files.get(path)
    if (bytes === undefined) throw new Error(`there is no file ${path}`)
    return bytes
  }
  return {
    bytes: async (path) => bytesOf(path),
    async *chunks(path) {
      const bytes = bytesOf(path)
      for (let from = 0; from < bytes.length; from += CHUNK_BYTES)
        yield bytes.subarray(from, from + CHUNK_BYTES)
    },
  }
}

const CHUNK_BYTES = 2 ** 24

/** A megabyte takes a reader some milliseconds: a worker that serves meanwhile must not wait longer between two steps. */
const SLICE_BYTES = 2 ** 20

/** A stream's chunks in slices, between which messages are served. */
export async function* slices(
  chunks: AsyncIterable<Uint8Array<ArrayBuffer>>,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const breath = createBreath()
  try {
    for await (const chunk of chunks)
      for (let from = 0; from < chunk.byteLength; from += SLICE_BYTES) {
        if (from > 0) await breath.take()
        yield chunk.subarray(from, from + SLICE_BYTES)
      }
  } finally {
    breath.dispose()
  }
}

/** A stream's chunks as one piece; of a file of one chunk, that chunk. */
export async function joined(
  chunks: AsyncIterable<Uint8Array<ArrayBuffer>>,
  numBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  let whole: Uint8Array<ArrayBuffer> | undefined
  let position = 0
  for await (const chunk of chunks) {
    if (position === 0 && chunk.byteLength === numBytes) whole = chunk
    else (whole ??= new Uint8Array(numBytes)).set(chunk, position)
    position += chunk.byteLength
  }
  return whole ?? new Uint8Array()
}
