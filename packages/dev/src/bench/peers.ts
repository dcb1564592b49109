import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report } from '../../../../demo/bench/report.ts'
import { rowsOf } from '../../../../demo/bench/report.ts'
import { writePeerModels } from '../peer-models/write.ts'
import type { Figure, Suite } from './figure.ts'
import { SHAPE_15M } from './shapes.ts'

const RESULTS = join(import.meta.dirname, '../../../../bench-results')
/** Of all rounds together. */
const PATIENCE_MS = 30 * 60_000

/** tabserve beside transformers.js and wllama: drives the demo's benchmark page, prints its table and keeps its JSON. */
export const peers: Suite = {
  about:
    'tabserve, transformers.js and wllama on the same 15M weights: loads, first tokens, speed, bytes, memory; what demo/bench shows',
  // The browser counts memory at once instead of with its next garbage collection.
  browserArgs: ['--enable-blink-features=ForceEagerMeasureMemory'],
  async run({ openPage, fixtures, log }) {
    log('Writing one random model of the 15M shape for all engines.')
    await writePeerModels(join(fixtures, 'peers'), SHAPE_15M, '15M shape, random weights')
    const page = await openPage()
    await page.goto(new URL('/bench/index.html?models=/fixtures/bench/peers/', page.url()).href)
    await page.exposeFunction('logProgress', log)
    await page.evaluate(() => {
      const status = document.getElementById('status')
      if (status === null) throw new Error('the page has no status')
      new MutationObserver(() => void window.logProgress(status.textContent ?? '')).observe(status, {
        childList: true,
      })
    })
    await page.getByTestId('start').click()
    const ended = '[data-testid=results]:not([hidden]), [data-testid=alert]:not([hidden])'
    await page.waitForSelector(ended, { timeout: PATIENCE_MS })
    const lastRun = await page.evaluate(() => window.lastRun)
    if (lastRun === undefined) throw new Error((await page.getByTestId('alert').textContent()) ?? 'no result')
    const { report, markdown } = lastRun
    console.error(`\n${markdown}`)
    log(`Saved in ${await save(report)}, which the page compares with other runs.`)
    return figuresOf(report)
  },
}

async function save(report: Report): Promise<string> {
  await mkdir(RESULTS, { recursive: true })
  const path = join(RESULTS, `peers-${report.date.replaceAll(':', '-')}.json`)
  await writeFile(path, `${JSON.stringify(report, null, 2)}\n`)
  return path
}

function figuresOf(report: Report): Figure[] {
  return rowsOf(report).flatMap(({ measure, cells }) =>
    cells.flatMap(({ peer, value }): Figure[] =>
      value === undefined
        ? []
        : [{ suite: 'peers', case: measure.id, metric: peer, value, unit: measure.unit }],
    ),
  )
}

declare global {
  interface Window {
    /** Exposed by this suite. */
    logProgress(text: string): Promise<void>
  }
}
