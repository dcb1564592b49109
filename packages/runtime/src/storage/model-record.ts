import type { FileIdentity } from './stored-file.ts'

/** What the store knows of a model: its manifest, and the files that it needs. */
export interface ModelRecord {
  /** Where it came from: the address of its folder, with a slash at its end. */
  readonly address: string
  /** `name@version`. */
  readonly id: string
  /** The text of its `manifest.json`. */
  readonly manifest: string
  readonly files: readonly FileIdentity[]
  /** Never evicted to make room. */
  readonly isPinned: boolean
  /** Its files were given up on purpose; they hold no place for it. */
  readonly isEvicted: boolean
  /** Last load or prefetch, in milliseconds since 1970. */
  readonly usedAt: number
}

/** `model`: every file was there once. `download`: a load or prefetch has begun, and can go on where it stopped. */
export type RecordKind = 'model' | 'download'

export const recordKey = (kind: RecordKind, address: string) => `${kind} ${address}`

/** Whether a stored value is a record. What is not is as good as nothing. */
export function isModelRecord(value: unknown): value is ModelRecord {
  const record = value as ModelRecord | undefined | null
  return (
    typeof record === 'object' &&
    typeof record?.address === 'string' &&
    typeof record.manifest === 'string' &&
    typeof record.usedAt === 'number' &&
    Array.isArray(record.files) &&
    record.files.every((file) => typeof file?.sha256 === 'string' && typeof file.bytes === 'number')
  )
}

/** Hashes of the files that any of these needs. */
export function referencedFiles(records: readonly Pick<ModelRecord, 'files' | 'isEvicted'>[]): Set<string> {
  return new Set(
    records.filter(({ isEvicted }) => !isEvicted).flatMap(({ files }) => files.map(({ sha256 }) => sha256)),
  )
}

/** Which model gives way first: the one that was not used for longest. `undefined` where all are pinned, spared or gone already. */
export function firstToEvict(records: readonly ModelRecord[], spared: string): ModelRecord | undefined {
  return records
    .filter(({ address, isPinned, isEvicted }) => address !== spared && !isPinned && !isEvicted)
    .toSorted((left, right) => left.usedAt - right.usedAt)[0]
}
