import type { ChunkStore } from './chunk-store.ts'
import type { FileJournal } from './file-journal.ts'
import { isJournalOf } from './file-journal.ts'
import { fileLock, withFreeLock } from './lock.ts'
import { isModelRecord, referencedFiles } from './model-record.ts'
import { heldBySession, isSessionRecord } from './session-record.ts'
import { chunkKeysOf } from './stored-file.ts'

/**
 * Makes chunks and journals agree: chunks that no journal speaks of go, chunks that are not there are struck from their journals, and
 * files that no model and no session needs go. A file that somebody downloads just now is left alone.
 */
export async function repairStore(store: ChunkStore): Promise<void> {
  const [chunks, entries] = [await store.chunkKeys(), await store.entryKeys()]
  const owners = await ownersOf(store, entries)
  const byFile = new Map<string, Set<string>>()
  for (const key of entries) if (key.startsWith('file ')) byFile.set(key.slice('file '.length), new Set())
  for (const key of chunks) {
    const stem = key.split('-', 1)[0] ?? key
    const sha256 = owners.get(stem) ?? stem
    byFile.set(sha256, (byFile.get(sha256) ?? new Set()).add(key))
  }
  const records = await Promise.all(
    entries.filter((key) => /^(model|download|session) /.test(key)).map((key) => store.readEntry(key)),
  )
  const needed = referencedFiles([
    ...records.filter(isModelRecord),
    ...records.filter(isSessionRecord).map(heldBySession),
  ])
  for (const [sha256, present] of byFile) {
    await withFreeLock(fileLock(store.scope, sha256), () =>
      repairFile(store, sha256, present, needed.has(sha256)),
    )
  }
}

/** Files by what their chunks' keys begin with. */
async function ownersOf(store: ChunkStore, entries: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const files = entries.filter((key) => key.startsWith('file ')).map((key) => key.slice('file '.length))
  const journals = await Promise.all(files.map((sha256) => store.readEntry(`file ${sha256}`)))
  return new Map(
    files.map((sha256, index) => [(journals[index] as FileJournal | null)?.stem ?? sha256, sha256]),
  )
}

async function repairFile(
  store: ChunkStore,
  sha256: string,
  present: ReadonlySet<string>,
  isNeeded: boolean,
): Promise<void> {
  const key = `file ${sha256}`
  const found = await store.readEntry(key)
  const journal = isJournalOf(found, (found as FileJournal | undefined)?.bytes ?? -1) ? found : undefined
  if (journal === undefined && (await ownersOf(store, await store.entryKeys())).has(sha256)) return // a draft that has become a file since
  if (journal === undefined || !isNeeded) {
    return store.write({ removedEntries: [key], removedChunks: [...present] })
  }
  const keys = chunkKeysOf(sha256, journal)
  const isKept = (index: number) => journal.chunks[index]?.isKept === true
  const unknown = [...present].filter((chunk) => !isKept(keys.indexOf(chunk)))
  const repaired = journal.chunks.map((chunk, index) =>
    chunk?.isKept === true && !present.has(keys[index] ?? '') ? { ...chunk, isKept: false } : chunk,
  )
  const isChanged = repaired.some((chunk, index) => chunk !== journal.chunks[index])
  if (unknown.length === 0 && !isChanged) return
  await store.write({ entries: [[key, { ...journal, chunks: repaired }]], removedChunks: unknown })
}
