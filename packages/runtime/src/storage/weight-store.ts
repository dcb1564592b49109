/**
 * Keeps the files of models between visits, by the SHA-256 of their content. Two models that share a file share its bytes.
 * Every implementation passes `test/conformance/weight-store.ts`.
 */
export interface WeightStore {
  /** `undefined` when the file is not there whole. */
  readFile(sha256: string): Promise<Uint8Array<ArrayBuffer> | undefined>
  /** The caller has checked the hash. A write that is cut leaves nothing that `readFile` would return. Rejects when storage is full. */
  writeFile(sha256: string, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  /** The text of the manifest last kept for a model folder. */
  readManifest(url: string): Promise<string | undefined>
  writeManifest(url: string, text: string): Promise<void>
  /** Forgets a manifest and every file in `files`; the caller knows which files no other manifest uses. */
  remove(url: string, files: readonly string[]): Promise<void>
  /** Addresses of all kept manifests. */
  listManifests(): Promise<readonly string[]>
  clear(): Promise<void>
}
