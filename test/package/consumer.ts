import { execFile } from 'node:child_process'
import { cp, mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { PackedFile } from '../../packages/dev/src/package/pack.ts'
import { completePackage, pack } from '../../packages/dev/src/package/pack.ts'

const ROOT = join(import.meta.dirname, '../..')
const run = promisify(execFile)

/** A folder far from this repository, with nothing in it but what npm installs of the packed package. */
export class Consumer {
  readonly folder: string
  readonly archive: { readonly bytes: number; readonly files: readonly PackedFile[] }

  /** Packs the bundles that the site was built of, and installs the archive without a network. */
  static async create(): Promise<Consumer> {
    const folder = await mkdtemp(join(tmpdir(), 'tabserve-consumer-'))
    await completePackage()
    const archive = await pack(folder)
    await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module', private: true }))
    const quiet = ['--offline', '--no-audit', '--no-fund', '--ignore-scripts']
    await run('npm', ['install', ...quiet, archive.archive], { cwd: folder })
    return new Consumer(folder, archive)
  }

  private constructor(folder: string, archive: Consumer['archive']) {
    this.folder = folder
    this.archive = archive
  }

  path(...parts: string[]): string {
    return join(this.folder, ...parts)
  }

  /** The package as it was installed. */
  installed(...parts: string[]): string {
    return this.path('node_modules/tabserve', ...parts)
  }

  async write(file: string, text: string): Promise<void> {
    await mkdir(dirname(this.path(file)), { recursive: true })
    await writeFile(this.path(file), text)
  }

  read(file: string): Promise<string> {
    return readFile(this.path(file), 'utf8')
  }

  /** Puts the bundled model into a folder that is served, as `model/`. */
  async addModel(folder: string): Promise<void> {
    await cp(join(ROOT, 'models/stories/v1'), this.path(folder, 'model'), { recursive: true })
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true, maxRetries: 5 })
  }
}

/** An app: it takes the package by its name, and gives tests the way to create a client. */
export const APP = `import { createClient, isolatePage } from 'tabserve'
import { prometheusText } from 'tabserve/prometheus'
import { LanguageModel } from 'tabserve/prompt-api'
window.tabserve = { createClient, isolatePage }
window.doors = { prometheusText, LanguageModel }
`

/** @param script address of the bundle, or of the script tag's file. */
export function pageWith(script: string, type: 'module' | 'classic' = 'module'): string {
  const tag = type === 'module' ? '<script type="module"' : '<script'
  return `<!doctype html><html lang="en"><meta charset="utf-8"><title>App</title><link rel="icon" href="data:,">
${tag} src="${script}"></script></html>`
}
