/** A file of a repository. */
export interface HubFile {
  readonly path: string
  readonly bytes: number
  /** What it must be, where the hub lists it: of a large file (LFS) its SHA-256, of one in git its blob's id. */
  readonly hash?: { readonly sha256: string } | { readonly gitBlob: string }
  /** What changes when the file does, where there is no hash: the server's ETag, or its date. */
  readonly validator?: string
}

/** What there is in one revision of a repository. */
export interface Listing {
  /** Where the files lie; with a slash at its end. */
  readonly folder: string
  /** Absent: nobody says it. */
  readonly commit?: string
  /** Every path. Absent: files can only be asked for one by one. */
  readonly paths?: readonly string[]
  /** `undefined`: it is not there. Throws as a request does. */
  find(path: string): Promise<HubFile | undefined>
  /** A small file, checked as far as its hash is known. `undefined`: it is not there. */
  read(path: string): Promise<Uint8Array<ArrayBuffer> | undefined>
}
