/** The files of an opened model, by their path in the manifest. */
export interface ModelFiles {
  /** A whole file, verified. */
  bytes(path: string): Promise<Uint8Array<ArrayBuffer>>
  /**
   * A file in pieces, in order, at most 16 MB each: nothing holds it whole. Throws `integrity`, at the latest at the end, where what was
   * read is not what the manifest says.
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
      for (let from = 0; from < bytes.length; from += CHUNK_BYTES) yield bytes.subarray(from, from + CHUNK_BYTES)
    },
  }
}

const CHUNK_BYTES = 2 ** 24
