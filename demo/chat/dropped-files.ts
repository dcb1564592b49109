import type { OwnFiles } from './drop-zone.ts'

/** The files of a drop: those that were dropped, or those right in the folder that was. */
export async function droppedFiles({ items, files }: DataTransfer): Promise<OwnFiles> {
  // Entries are to be had only now, in the event.
  const entries = [...items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null)
  const folder = entries.find((entry) => entry.isDirectory)
  if (folder === undefined) return { files: [...files] }
  const children = await childrenOf(folder as FileSystemDirectoryEntry)
  const inside = children.filter((entry) => entry.isFile) as FileSystemFileEntry[]
  return { files: await Promise.all(inside.map(fileOf)), folder: folder.name }
}

/** Browsers hand them out a hundred at a time; none means that there are no more. */
async function childrenOf(folder: FileSystemDirectoryEntry): Promise<FileSystemEntry[]> {
  const reader = folder.createReader()
  const found: FileSystemEntry[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (some.length === 0) return found
    found.push(...some)
  }
}

function fileOf(entry: FileSystemFileEntry): Promise<File> {
  return new Promise((resolve, reject) => entry.file(resolve, reject))
}
