import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Manifest } from '@tabserve/protocol'
import { manifestProblem } from '@tabserve/protocol'
import { ConvertError } from './convert-error.ts'

/** The manifest of a model folder. */
export async function readManifest(folder: string): Promise<Manifest> {
  const path = join(folder, 'manifest.json')
  const value = await readJson(path)
  if (value === undefined) throw new ConvertError(`${path} cannot be read as JSON`)
  const problem = manifestProblem(value)
  if (problem !== undefined) throw new ConvertError(`${path} is not a model's manifest: ${problem}`)
  return value as Manifest // manifestProblem has looked
}

/** `undefined` where there is no such file, or no JSON in it. */
export async function readJson(path: string): Promise<unknown> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as unknown
  } catch {
    return undefined
  }
}
