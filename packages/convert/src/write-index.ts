import { readdir, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ModelIndex, ModelIndexEntry, VersionPolicy } from '@tabserve/protocol'
import { modelIndexProblem } from '@tabserve/protocol'
import { ConvertError } from './convert-error.ts'
import { readJson, readManifest } from './read-manifest.ts'

const INDEX = 'index.json'

/**
 * Writes `index.json`, which `client.register` reads, beside the version folders of one model: every folder in `folder` with a manifest. Without a policy
 * the one that the present index has stays.
 */
export async function writeIndex(folder: string, versionPolicy?: VersionPolicy): Promise<ModelIndex> {
  const path = join(folder, INDEX)
  const index = await makeIndex(folder, versionPolicy ?? (await policyOf(path)))
  const problem = modelIndexProblem(index)
  if (problem !== undefined) throw new ConvertError(`${folder} cannot be indexed: ${problem}`)
  const draft = join(folder, `.${INDEX}`)
  await writeFile(draft, `${JSON.stringify(index, undefined, 2)}\n`)
  await rename(draft, path)
  return index
}

async function makeIndex(folder: string, versionPolicy: VersionPolicy | undefined): Promise<ModelIndex> {
  const found = await foundIn(folder)
  const [name, other] = [...new Set(found.map(({ name }) => name))]
  if (name === undefined) throw new ConvertError(`no folder in ${folder} has a manifest.json`)
  if (other !== undefined)
    throw new ConvertError(`${folder} holds more than one model: ${name} and ${other}. An index is of one.`)
  return {
    format: 'tabserve-model-index',
    formatVersion: 1,
    name,
    ...(versionPolicy === undefined ? {} : { versionPolicy }),
    versions: found
      .map(({ entry }) => entry)
      .sort((one, next) => one.version.length - next.version.length || (one.version < next.version ? -1 : 1)),
  }
}

async function foundIn(
  folder: string,
): Promise<{ readonly name: string; readonly entry: ModelIndexEntry }[]> {
  const all = await readdir(folder, { withFileTypes: true })
  const candidates = all.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
  const found = candidates.map(async ({ name: folderName }) => {
    const inside = await readdir(join(folder, folderName))
    if (!inside.includes('manifest.json')) return []
    const { name, version, files } = await readManifest(join(folder, folderName))
    if (!/^[1-9]\d*$/.test(version))
      throw new ConvertError(
        `${join(folder, folderName)} is version ${JSON.stringify(version)}: versions of an index are whole numbers from 1`,
      )
    const path = folderName === version ? {} : { path: `${folderName}/` }
    return [{ name, entry: { version, ...path, bytes: files.reduce((sum, file) => sum + file.bytes, 0) } }]
  })
  return (await Promise.all(found)).flat()
}

async function policyOf(path: string): Promise<VersionPolicy | undefined> {
  const present = await readJson(path)
  return modelIndexProblem(present) === undefined ? (present as ModelIndex).versionPolicy : undefined
}
