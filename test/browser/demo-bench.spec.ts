import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Report } from '../../demo/bench/report.ts'
import { launchPersistent } from '../../packages/dev/src/launch-browser.ts'
import { writePeerModels } from '../../packages/dev/src/peer-models/write.ts'
import { expect, test } from './fixtures.ts'

const MODELS = join(import.meta.dirname, '../../dist/fixtures/peers')
const TINY = { hiddenSize: 64, layers: 2, heads: 4, kvHeads: 2, hiddenDim: 192, vocabSize: 1024 }
const SHORT = '/bench/index.html?short&repeats=1&models=/fixtures/peers/'

test('every engine fills every row on the same weights, says the same words, and a saved run can be compared', async ({
  site,
}, info) => {
  test.setTimeout(150_000) // four engines and eight loads: seconds on a quiet machine
  await writePeerModels(MODELS, TINY, 'tiny')
  // The browser counts memory at once instead of with its next garbage collection.
  const { context, close } = await launchPersistent(['--enable-blink-features=ForceEagerMeasureMemory'])
  const page = await context.newPage()
  await page.goto(new URL(SHORT, site.url).href)
  await page.getByTestId('rounds').fill('1')
  await page.getByTestId('start').click()
  await expect(page.locator('[data-testid=table], [data-testid=alert]:not([hidden])')).toBeVisible({
    timeout: 120_000,
  })
  await expect(page.getByTestId('alert')).toBeHidden()

  const rows = page.getByTestId('table').locator('tbody tr')
  await expect(rows).toHaveCount(15)
  for (const cells of await rows.evaluateAll((found) =>
    found.map((row) => [...row.querySelectorAll('td')].map(({ textContent }) => textContent)),
  )) {
    expect(cells).toHaveLength(4)
    for (const cell of cells) expect(cell).toMatch(/^\d+(\.\d)?( [\d.]+×)?$/)
  }

  const [download] = await Promise.all([page.waitForEvent('download'), page.getByTestId('save').click()])
  const saved = info.outputPath('run.json')
  await download.saveAs(saved)
  const report = JSON.parse(await readFile(saved, 'utf8')) as Report
  // Bits of weights alone do not fix an answer, but the first tokens are far from doubtful.
  for (const samples of Object.values(report.peers))
    expect(Math.min(...(samples.agreement ?? [0]))).toBeGreaterThan(0)
  expect(report.peers.wllama?.downloaded?.[0]).toBeGreaterThan(
    report.peers.tabserve?.downloaded?.[0] ?? Infinity,
  )

  await page.getByTestId('compare').setInputFiles(saved)
  await expect(page.getByTestId('said')).toContainText('the saved run')
  await expect(rows.first()).toContainText('1.00×')

  await page.getByTestId('compare').setInputFiles({
    name: 'other.json',
    mimeType: 'application/json',
    buffer: Buffer.from('{}'),
  })
  await expect(page.getByTestId('alert')).toContainText('no saved run')
  await close()
})

test('without models the page says how they are made', async ({ page, site }) => {
  await page.goto(new URL('/bench/index.html?models=/nowhere/', site.url).href)
  await page.getByTestId('start').click()
  await expect(page.getByTestId('alert')).toContainText('npm run bench -- peers')
})
