import type { ManifestFile } from '@tabserve/protocol'
import type { HubFile } from './hub/listing.ts'

/** Where a model's files come from. */
export interface ModelSource {
  /** Under which the store keeps the model; with a slash at its end. */
  readonly address: string
  readonly origin: 'network' | 'local'
  /** A small text file. Throws `model_not_found`, `network` or `aborted`. */
  readText(path: string, signal: AbortSignal): Promise<string>
  /**
   * Chunks of a file, whole and in ascending order. Their bytes are not checked. Throws as `readText` does, and `integrity` where the file has
   * another size.
   */
  readChunks(request: ChunkRequest): AsyncGenerator<Uint8Array<ArrayBuffer>>
}

/** A source that may not know what its files must be. */
export interface UnprovenSource extends ModelSource {
  /** Files that have a provisional id for a hash in the manifest that was read: nobody says what their hash is. */
  readonly unproven: ReadonlyMap<string, HubFile>
  /** A file's size and validator as they are now. `undefined`: it is not there any more. */
  lookAgain(path: string, signal: AbortSignal): Promise<HubFile | undefined>
}

export interface ChunkRequest {
  readonly file: ManifestFile
  readonly chunkBytes: number
  /** Which chunks, ascending, at least one. */
  readonly indices: readonly number[]
  readonly signal: AbortSignal
  /** Called with the size of each piece of them that arrives. */
  readonly onBytes: (bytes: number) => void
  readonly onRetry: (reason: string, waitMs: number) => void
}
