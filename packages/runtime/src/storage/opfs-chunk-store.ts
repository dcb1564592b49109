import { sha256Of } from '../models/sha256.ts'
import type { ChunkStore } from './chunk-store.ts'

/**
 * Keeps chunks as files of the origin's private file system, in a dedicated worker: only there files can be written in place.
 * @param name of the folder.
 */
export function opfsChunkStore(name = 'tabserve-weights'): ChunkStore {
  const folder = async (kind: 'entries' | 'chunks') => {
    const root = await navigator.storage.getDirectory()
    const own = await root.getDirectoryHandle(name, { create: true })
    return own.getDirectoryHandle(kind, { create: true })
  }
  const readEntryFile = async (fileName: string) =>
    parseEntry(await (await readFile(await folder('entries'), fileName))?.text())

  return {
    kind: 'opfs',
    scope: `opfs ${name}`,
    readEntry: async (key) => (await readEntryFile(await entryName(key)))?.value,
    async readChunk(key) {
      const file = await readFile(await folder('chunks'), key)
      return file === undefined ? undefined : new Uint8Array(await file.arrayBuffer())
    },
    /** Chunks before their entries, entries away before their chunks: what is cut leaves chunks that nobody knows of. */
    async write({ entries = [], chunks = [], removedEntries = [], removedChunks = [] }) {
      const [chunkFolder, entryFolder] = [await folder('chunks'), await folder('entries')]
      for (const [key, bytes] of chunks) await writeChunk(chunkFolder, key, bytes)
      for (const [key, value] of entries) await writeEntry(entryFolder, await entryName(key), { key, value })
      for (const key of removedEntries) await removeFile(entryFolder, await entryName(key))
      for (const key of removedChunks) await removeFile(chunkFolder, key)
    },
    async entryKeys() {
      const entries = await Promise.all((await namesIn(await folder('entries'))).map(readEntryFile))
      return entries.filter((entry) => entry !== undefined).map(({ key }) => key)
    },
    chunkKeys: async () => namesIn(await folder('chunks')),
    async clear() {
      const root = await navigator.storage.getDirectory()
      await root.removeEntry(name, { recursive: true }).catch(unlessMissing)
    },
  }
}

interface Entry {
  readonly key: string
  readonly value: unknown
}

/** Keys hold addresses, which a file name cannot. */
function entryName(key: string): Promise<string> {
  return sha256Of(new TextEncoder().encode(key))
}

/** `undefined` for a file that was cut while it was written. */
function parseEntry(text: string | undefined): Entry | undefined {
  if (text === undefined) return undefined
  try {
    return JSON.parse(text) as Entry // written by `writeEntry`, under a name that only it gives
  } catch {
    return undefined // as if it had never been written: the files that it spoke of are fetched again
  }
}

async function readFile(folder: FileSystemDirectoryHandle, name: string): Promise<File | undefined> {
  const handle = await folder.getFileHandle(name).catch(unlessMissing)
  return handle?.getFile()
}

/** What TypeScript's DOM library leaves to workers. */
interface WorkerFileHandle extends FileSystemFileHandle {
  createSyncAccessHandle(): Promise<{
    truncate(size: number): void
    write(bytes: Uint8Array, options: { readonly at: number }): number
    flush(): void
    close(): void
  }>
}

/** In place, which is several times as fast; its hash tells of a chunk that was cut. */
async function writeChunk(
  folder: FileSystemDirectoryHandle,
  name: string,
  bytes: Uint8Array<ArrayBuffer>,
): Promise<void> {
  const handle = (await folder.getFileHandle(name, { create: true })) as WorkerFileHandle
  const access = await handle.createSyncAccessHandle()
  let written = 0
  try {
    access.truncate(0)
    written = access.write(bytes, { at: 0 })
    access.flush()
  } finally {
    access.close()
    if (written < bytes.byteLength) await removeFile(folder, name)
  }
  if (written < bytes.byteLength)
    throw new DOMException('The file system took only a part.', 'QuotaExceededError')
}

/** Aside and then moved, so that a cut leaves the old entry. */
async function writeEntry(folder: FileSystemDirectoryHandle, name: string, entry: Entry): Promise<void> {
  const stream = await (await folder.getFileHandle(name, { create: true })).createWritable()
  try {
    await stream.write(JSON.stringify(entry))
  } catch (error) {
    await stream.abort()
    throw error
  }
  await stream.close()
}

async function removeFile(folder: FileSystemDirectoryHandle, name: string): Promise<void> {
  await folder.removeEntry(name).catch(unlessMissing)
}

async function namesIn(folder: FileSystemDirectoryHandle): Promise<string[]> {
  const names: string[] = []
  for await (const name of folder.keys()) if (!name.endsWith('.crswap')) names.push(name)
  return names
}

function unlessMissing(error: unknown): undefined {
  if (error instanceof DOMException && error.name === 'NotFoundError') return undefined
  throw error
}
