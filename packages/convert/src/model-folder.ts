import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { manifestProblem } from '@tabserve/protocol'
import type { Manifest, ManifestFile } from '@tabserve/protocol'
import { ConvertError } from './convert-error.ts'

/** A file of the folder, in pieces that may be made as they are written, so that large weights are never all in memory. */
export interface FolderFile {
  readonly path: string
  readonly chunks: Iterable<Uint8Array>
}

/**
 * Writes the files and a manifest that lists them. The folder appears at once or not at all: it is filled beside its place and renamed.
 * An existing folder is replaced only with `force`, and only if it is a model folder.
 */
export async function writeModelFolder<T extends Manifest>(
  folder: string,
  files: readonly FolderFile[],
  describe: (files: readonly ManifestFile[]) => T,
  force: boolean,
): Promise<T> {
  const target = resolve(folder)
  assertWritable(target, force)
  await mkdir(dirname(target), { recursive: true })
  const draft = await mkdtemp(join(dirname(target), `.${basename(target)}-`))
  try {
    await chmod(draft, 0o755) // mkdtemp makes folders that only their owner can read
    const listed: ManifestFile[] = []
    for (const file of files) listed.push(await writeFile(draft, file))
    const manifest = describe(listed)
    const problem = manifestProblem(manifest)
    if (problem !== undefined) throw new ConvertError(`the model cannot be described: ${problem}`)
    const text = `${JSON.stringify(manifest, null, 2)}\n`
    await writeFile(draft, { path: 'manifest.json', chunks: [new TextEncoder().encode(text)] })
    await replaceFolder(draft, target)
    return manifest
  } finally {
    await rm(draft, { recursive: true, force: true })
  }
}

/** Called before the work too, so that a long conversion does not end in this refusal. */
export function assertWritable(folder: string, force: boolean): void {
  if (!existsSync(folder)) return
  if (!force) throw new ConvertError(`${folder} exists already; --force replaces it`)
  if (!existsSync(join(folder, 'manifest.json'))) {
    throw new ConvertError(
      `${folder} is not a model folder (it has no manifest.json); --force replaces only those`,
    )
  }
}

async function writeFile(folder: string, { path, chunks }: FolderFile): Promise<ManifestFile> {
  const hash = createHash('sha256')
  let bytes = 0
  await using file = await open(join(folder, path), 'w')
  for (const chunk of chunks) {
    hash.update(chunk)
    bytes += chunk.byteLength
    await file.writeFile(chunk)
  }
  return { path, bytes, sha256: hash.digest('hex') }
}

async function replaceFolder(draft: string, target: string): Promise<void> {
  if (!existsSync(target)) return rename(draft, target)
  const old = `${draft}-old`
  await rename(target, old)
  try {
    await rename(draft, target)
  } catch (error) {
    await rename(old, target)
    throw error
  }
  await rm(old, { recursive: true, force: true })
}
