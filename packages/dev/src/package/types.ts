import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { promisify } from 'node:util'
import { PACKAGE } from './bundles.ts'

const ROOT = join(import.meta.dirname, '../../../..')
const PACKAGES = join(ROOT, 'packages')

/** Room by room, for a declaration lies where its source does. */
const TYPES = 'types'

/** Where a source file's declarations lie in the package. @param source in `packages/tabserve/src/`. */
export function typesOf(source: string): string {
  return `./${TYPES}/tabserve/src/${source.replace(/\.ts$/, '.d.ts')}`
}

/**
 * Writes declarations of these sources, and of all that they speak of, into the package. TypeScript makes them; imports of our rooms, which nobody
 * else has, become paths.
 */
export async function buildTypes(sources: readonly string[]): Promise<void> {
  const folder = await mkdtemp(join(ROOT, 'packages/tabserve/.types-'))
  try {
    const files = sources.map((source) => join(PACKAGES, 'tabserve/src', source))
    const rooms = await roomEntries()
    const config = join(folder, 'tsconfig.json')
    await writeFile(config, JSON.stringify(configOf(files, rooms)))
    await promisify(execFile)(process.execPath, [
      join(ROOT, 'node_modules/typescript/bin/tsc'),
      ...['-p', config, '--outDir', join(folder, 'out')],
    ])
    await copyComlink(join(folder, 'out'))
    await copyReached(join(folder, 'out'), sources, new Map([...rooms, ['comlink', 'comlink/comlink.ts']]))
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** What comes by way of `node_modules` gets no declarations: our rooms are named by their paths. */
function configOf(files: readonly string[], rooms: ReadonlyMap<string, string>): object {
  const paths = Object.fromEntries([...rooms].map(([name, path]) => [name, [join(PACKAGES, path)]]))
  const compilerOptions = {
    noEmit: false,
    declaration: true,
    emitDeclarationOnly: true,
    rootDir: PACKAGES,
    paths,
  }
  return { extends: join(ROOT, 'tsconfig.json'), compilerOptions, files, include: [] }
}

/** It is inside the bundles, so nobody has it beside them; and inner types, which nobody uses, speak of it. */
async function copyComlink(to: string): Promise<void> {
  const from = dirname(createRequire(join(PACKAGES, 'client/package.json')).resolve('comlink'))
  await cp(from, join(to, 'comlink'), {
    recursive: true,
    filter: (path) => path === from || path.endsWith('.d.ts'),
  })
}

async function copyReached(
  from: string,
  sources: readonly string[],
  rooms: ReadonlyMap<string, string>,
): Promise<void> {
  const reached = new Set(sources.map((source) => `tabserve/src/${source.replace(/\.ts$/, '.d.ts')}`))
  for (const path of reached) {
    const text = await readFile(join(from, path), 'utf8')
    const rewritten = text.replace(
      /(\bfrom\s+|\bimport\(\s*|^import\s+)(['"])([^'"]+)\2/gm,
      (all, before, _quote, specifier) => {
        const target = targetOf(path, specifier, rooms)
        if (target === undefined) return all
        reached.add(target)
        const own = relative(dirname(path), target)
          .replaceAll('\\', '/')
          .replace(/\.d\.ts$/, '.js')
        return `${before}'${own.startsWith('.') ? own : `./${own}`}'`
      },
    )
    await mkdir(dirname(join(PACKAGE, TYPES, path)), { recursive: true })
    await writeFile(join(PACKAGE, TYPES, path), rewritten.replace(/^\/\/# sourceMappingURL=.*$/m, ''))
  }
}

/** A path below `packages/`, or `undefined` for what is not ours. */
function targetOf(path: string, specifier: string, rooms: ReadonlyMap<string, string>): string | undefined {
  const source = specifier.startsWith('.') ? join(dirname(path), specifier) : rooms.get(specifier)
  return source?.replaceAll('\\', '/').replace(/(\.ts)?$/, '.d.ts')
}

/** `@tabserve/room/entry` to its source file. */
async function roomEntries(): Promise<ReadonlyMap<string, string>> {
  const entries = new Map<string, string>()
  for (const room of await readdir(PACKAGES)) {
    const { name, exports = {} } = JSON.parse(
      await readFile(join(PACKAGES, room, 'package.json'), 'utf8'),
    ) as { name: string; exports?: Record<string, unknown> }
    for (const [subpath, target] of Object.entries(exports))
      if (typeof target === 'string') entries.set(name + subpath.slice(1), join(room, target))
  }
  return entries
}
