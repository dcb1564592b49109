import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { chmod, mkdir, mkdtemp, open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import type { ManifestFile } from '@tabserve/protocol'
import { ConvertError } from './convert-error.ts'
import type { MadeFile, ModelTarget } from './make-model.ts'

/**
 * Has `work` fill a folder, which appears at once or not at all: it is filled beside its place and renamed with its manifest.
 * An existing folder is replaced only with `force`, and only if it is a model folder.
 */
export async function intoModelFolder<T>(
  folder: string,
  force: boolean,
  work: (target: ModelTarget) => Promise<T>,
): Promise<T> {
  const place = resolve(folder)
  assertWritable(place, force)
  await mkdir(dirname(place), { recursive: true })
  const draft = await mkdtemp(join(dirname(place), `.${basename(place)}-`))
  try {
    await chmod(draft, 0o755) // mkdtemp makes folders that only their owner can read
    return await work({
      write: (file) => writeFile(draft, file),
      async finish(manifest) {
        const bytes = new TextEncoder().encode(manifest)
        await writeFile(draft, { path: 'manifest.json', bytes: bytes.byteLength, chunks: [bytes] })
        await replaceFolder(draft, place)
      },
    })
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

async function writeFile(folder: string, { path, chunks }: MadeFile): Promise<ManifestFile> {
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
