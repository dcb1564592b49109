import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright'
import { watchBrowserMemory } from '../browser-memory.ts'
import { writeLargeCheckpoint } from '../large-checkpoint.ts'
import type { BenchContext, Figure, Suite } from './figure.ts'

/** Of 11 million weights each: 121 MB and 1 GB of bfloat16. */
const LAYERS = [5, 44]
const FORMS = ['q4', 'int8'] as const

/** Conversion in the tab: its speed, and the most memory that the browser takes for it beyond what it has before. One run each. */
export const convert: Suite = {
  about: 'safetensors of 121 MB and 1 GB made a model in the tab: speed and memory',
  async run(bench) {
    const figures: Figure[] = []
    for (const layers of LAYERS) figures.push(...(await conversions(bench, layers)))
    return figures
  },
}

async function conversions({ openPage, fixtures, log }: BenchContext, layers: number): Promise<Figure[]> {
  const folder = join(fixtures, 'checkpoint')
  const bytes = await writeLargeCheckpoint(folder, layers)
  const figures: Figure[] = []
  for (const weights of FORMS) {
    const name = `${Math.round(bytes / 1e6)} MB to ${weights}`
    log(`${name}.`)
    const page = await openPage()
    await prepare(page, folder)
    const grown = watchBrowserMemory()
    const ms = await convertPicked(page, weights)
    const memory = grown?.()
    await page.close()
    const figure = (metric: string, value: number, unit: string): Figure => ({
      suite: 'convert',
      case: name,
      metric,
      value,
      unit,
    })
    figures.push(figure('speed', bytes / 1000 / ms, 'MB/s'))
    if (memory === undefined) continue
    figures.push(
      figure('page', memory.pageBytes / 1e6, 'MB'),
      figure('browser', memory.otherBytes / 1e6, 'MB'),
    )
  }
  await rm(folder, { recursive: true })
  return figures
}

async function prepare(page: Page, folder: string): Promise<void> {
  await page.evaluate(async () => {
    document.body.innerHTML = '<input type="file" webkitdirectory>'
    window.client = await window.tabserve.createClient()
    await window.client.clearCache()
  })
  await page.setInputFiles('input', folder)
}

function convertPicked(page: Page, weights: (typeof FORMS)[number]): Promise<number> {
  return page.evaluate(async (weights) => {
    const started = performance.now()
    await window.client.models.convert(document.querySelector('input')?.files ?? [], { weights })
    return performance.now() - started
  }, weights)
}
