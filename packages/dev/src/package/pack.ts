import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { PACKAGE, buildBundles } from './bundles.ts'
import { bundleCli } from './cli-bundle.ts'
import { typedSources, writeManifest } from './manifest.ts'
import { buildTypes } from './types.ts'

/** What npm says of a file in the archive. */
export interface PackedFile {
  readonly path: string
  readonly size: number
}

/** Makes what the bundles lack to be the published package: the command line, types, package.json, texts. */
export async function completePackage(): Promise<void> {
  await bundleCli()
  await buildTypes(typedSources())
  await writeManifest()
}

/** Makes the whole package, in `packages/tabserve/dist/`. */
export async function buildPackage(): Promise<void> {
  await buildBundles()
  await completePackage()
}

/** Packs it as `npm publish` would. Returns the archive's path, and what is in it. */
export async function pack(into: string): Promise<{ archive: string; bytes: number; files: PackedFile[] }> {
  const args = ['pack', '--json', '--ignore-scripts', '--pack-destination', into]
  const { stdout } = await promisify(execFile)('npm', args, { cwd: PACKAGE, maxBuffer: 1 << 24 })
  const [made] = JSON.parse(stdout) as { filename: string; size: number; files: PackedFile[] }[]
  if (made === undefined) throw new Error('npm packed nothing')
  return { archive: join(into, made.filename), bytes: made.size, files: made.files }
}
