import type { PickedFile } from '@tabserve/protocol'

/** The files of a picked folder, with their paths, which begin with the folder's own name where it has one. */
export async function pickedFiles(source: Iterable<Blob> | FileSystemDirectoryHandle): Promise<PickedFile[]> {
  if ('getFileHandle' in source) return filesIn(source, source.name === '' ? '' : `${source.name}/`)
  return Array.from(source, (blob) => ({ path: pathOf(blob), blob }))
}

async function filesIn(folder: FileSystemDirectoryHandle, path: string): Promise<PickedFile[]> {
  const files: PickedFile[] = []
  for await (const [name, handle] of folder.entries()) {
    if (handle.kind === 'directory')
      files.push(...(await filesIn(handle as FileSystemDirectoryHandle, `${path}${name}/`)))
    else files.push({ path: path + name, blob: await (handle as FileSystemFileHandle).getFile() })
  }
  return files
}

/** Folders picked by `<input webkitdirectory>` say where in them a file lies. */
function pathOf(blob: Blob): string {
  if (!(blob instanceof File)) return ''
  return blob.webkitRelativePath === '' ? blob.name : blob.webkitRelativePath
}
