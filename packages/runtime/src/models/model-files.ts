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
