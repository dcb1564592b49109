import { existsSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { UsageError } from '@tabserve/convert'
import type { StaticServer } from '@tabserve/dev/serve'
import { serve } from '@tabserve/dev/serve'
import { CORS, ended } from '../serve-folder.ts'
import type { Figures } from './figures.ts'
import { figuresText } from './figures.ts'
import { findChromium } from './find-chromium.ts'

export interface BenchOptions {
  /** A model folder, or the address of one. */
  readonly model: string
  readonly maxTokens: number
  /** Answers at once. */
  readonly together: number
  /** Only prints the address of the page. */
  readonly open: boolean
  readonly json: boolean
}

/** The package as it was installed: this file's bundle lies in its `cli/`. */
const PACKAGE = join(import.meta.dirname, '..')

/** Loads a model in a browser and says how fast it is. */
export async function bench({ model, maxTokens, together, open, json }: BenchOptions): Promise<void> {
  const models = await modelServer(model)
  const site = await serve({ root: PACKAGE, port: 0 })
  try {
    const page = new URL('cli/bench.html', site.url)
    page.searchParams.set('model', models?.url ?? model)
    page.searchParams.set('maxTokens', String(maxTokens))
    page.searchParams.set('together', String(together))
    const chromium = open ? undefined : await findChromium()
    if (chromium === undefined) {
      console.log(`Open ${page.href} in a browser. Ctrl-C ends it.`)
      return await ended()
    }
    const figures = await chromium((tab) => measure(tab, page.href))
    console.log(json ? JSON.stringify(figures) : figuresText(figures))
  } finally {
    await site.close()
    await models?.close()
  }
}

/** Of a folder; an address is its own. */
async function modelServer(model: string): Promise<StaticServer | undefined> {
  if (/^(https?|hf):\/\//.test(model)) return undefined
  const root = resolve(model)
  const found = await stat(root).catch(() => undefined)
  if (found?.isDirectory() !== true || !existsSync(join(root, 'manifest.json')))
    throw new UsageError(`${root} is no model folder: it has no manifest.json`)
  return serve({ root, port: 0, headers: CORS })
}

/** A browser's tab, as far as it is used here. */
export interface Tab {
  goto(address: string): Promise<unknown>
  evaluate<T>(call: () => T | Promise<T>): Promise<T>
}

async function measure(tab: Tab, address: string): Promise<Figures> {
  await tab.goto(address)
  return tab.evaluate(() => (globalThis as unknown as { figures: Promise<Figures> }).figures)
}
