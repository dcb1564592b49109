import { cp, readFile, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { DOORS, FETCHED } from '../../../tabserve/entries.ts'
import { PACKAGE } from './bundles.ts'
import { typesOf } from './types.ts'

const ROOT = join(import.meta.dirname, '../../../..')

/** Writes the package.json that is published, and the texts that go with it. */
export async function writeManifest(): Promise<void> {
  const own = JSON.parse(await readFile(join(ROOT, 'packages/tabserve/package.json'), 'utf8')) as PackageJson
  const { name, version, description, license, keywords, peerDependencies, peerDependenciesMeta } = own
  const manifest = {
    ...{ name, version, description, keywords, license, type: 'module' },
    // They start as soon as they are run. Nothing else does anything on import.
    sideEffects: ['./assets/*.js'],
    exports: exportsOf(),
    bin: { tabserve: './cli/tabserve.js' },
    ...{ unpkg: './assets/tabserve.global.js', jsdelivr: './assets/tabserve.global.js' },
    ...{ peerDependencies, peerDependenciesMeta },
    engines: { node: '>=20.19' },
  }
  await writeFile(join(PACKAGE, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`)
  for (const text of ['README.md', 'LICENSE']) await cp(join(ROOT, text), join(PACKAGE, text))
  const changes = join(ROOT, 'packages/tabserve/CHANGELOG.md')
  if (existsSync(changes)) await cp(changes, join(PACKAGE, 'CHANGELOG.md'))
}

/** Every source whose types somebody can import. */
export function typedSources(): string[] {
  return [
    ...DOORS.map((door) => `${door}.ts`),
    ...FETCHED.filter(({ door }) => door !== undefined).map(({ source }) => source),
  ]
}

function exportsOf(): Record<string, unknown> {
  const doors = DOORS.map((door) => [
    door === 'index' ? '.' : `./${door}`,
    { types: typesOf(`${door}.ts`), default: `./${door}.js` },
  ])
  const files = FETCHED.filter(({ door }) => door !== undefined).map(({ source, file, door }) => [
    `./${door}`,
    { types: typesOf(source), default: `./assets/${file}` },
  ])
  return Object.fromEntries([...doors, ...files, ['./package.json', './package.json']])
}

interface PackageJson {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly license: string
  readonly keywords: readonly string[]
  readonly peerDependencies: Readonly<Record<string, string>>
  readonly peerDependenciesMeta: unknown
}
