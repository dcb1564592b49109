/** What the store has of one file: for each chunk its hash, and whether it is there. */
export interface FileJournal {
  readonly bytes: number
  readonly chunkBytes: number
  /** The file's own hash matched once; so each chunk's hash is known to be right, also where the chunk was lost since. */
  readonly isSealed: boolean
  readonly chunks: readonly ChunkState[]
  /** Under which its chunks lie, where that is not the file's hash: those of a file that was made here, when its hash was not known yet. */
  readonly stem?: string
}

export type ChunkState = { readonly sha256: string; readonly isKept: boolean } | null

/** Of a file of which nothing is there. */
export function emptyJournal(bytes: number, chunkBytes: number): FileJournal {
  const chunks = new Array<ChunkState>(Math.ceil(bytes / chunkBytes)).fill(null)
  return { bytes, chunkBytes, isSealed: false, chunks }
}

/** The journal with another state of one chunk. */
export function withChunk(journal: FileJournal, index: number, state: ChunkState): FileJournal {
  return { ...journal, chunks: journal.chunks.with(index, state) }
}

/** The journal of a file whose own hash has matched. One with a chunk that nobody has hashed stays as it is: that chunk could not be checked. */
export function sealed(journal: FileJournal): FileJournal {
  return { ...journal, isSealed: journal.chunks.every((chunk) => chunk !== null) }
}

/** Bytes of chunk `index`: the last one may be shorter. */
export function chunkLength(
  { bytes, chunkBytes }: Pick<FileJournal, 'bytes' | 'chunkBytes'>,
  index: number,
): number {
  return Math.min(chunkBytes, bytes - index * chunkBytes)
}

export function isWhole({ isSealed, chunks }: FileJournal): boolean {
  return isSealed && chunks.every((chunk) => chunk?.isKept === true)
}

/** Bytes that are there. */
export function keptBytes(journal: FileJournal): number {
  return journal.chunks.reduce(
    (sum, chunk, index) => sum + (chunk?.isKept === true ? chunkLength(journal, index) : 0),
    0,
  )
}

/** Whether a stored value is the journal of a file of this size. What is not is as good as nothing. */
export function isJournalOf(value: unknown, bytes: number): value is FileJournal {
  const journal = value as FileJournal | undefined | null
  return (
    typeof journal === 'object' &&
    journal?.bytes === bytes &&
    Number.isInteger(journal.chunkBytes) &&
    journal.chunkBytes > 0 &&
    typeof journal.isSealed === 'boolean' &&
    (journal.stem === undefined || typeof journal.stem === 'string') &&
    Array.isArray(journal.chunks) &&
    journal.chunks.length === Math.ceil(bytes / journal.chunkBytes) &&
    journal.chunks.every((chunk) => (chunk === null ? !journal.isSealed : typeof chunk?.sha256 === 'string'))
  )
}
