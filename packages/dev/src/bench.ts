import { mkdir, rm } from 'node:fs/promises'
import { cpus } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Figure } from './bench/figure.ts'
import { SUITES } from './bench/index.ts'
import { launchPersistent } from './launch-browser.ts'
import { serve } from './serve.ts'

const SITE = join(import.meta.dirname, '../../../dist')
const FIXTURES = join(SITE, 'fixtures/bench')

/** `npm run bench -- SUITE [--json]`: runs one benchmark in a headless browser. */
const { name, json } = readCommandLine()
const suite = SUITES[name]
if (suite === undefined) usage(`There is no suite ${name}.`)
await rm(FIXTURES, { recursive: true, force: true })
await mkdir(FIXTURES, { recursive: true })
const server = await serve({ root: SITE, port: 0 })
const { context, close } = await launchPersistent(suite.browserArgs)
try {
  const figures = await suite.run({
    fixtures: FIXTURES,
    log: (text) => console.error(text),
    async openPage() {
      const page = await context.newPage()
      await page.goto(new URL('/script-tag/blank.html', server.url).href)
      return page
    },
    async openHarness() {
      const page = await context.newPage()
      await page.goto(new URL('/harness/index.html', server.url).href)
      await page.waitForFunction(() => 'harness' in window)
      return page
    },
  })
  if (json) for (const figure of figures) console.log(JSON.stringify(figure))
  else print(figures)
} finally {
  await close()
  await server.close()
  await rm(FIXTURES, { recursive: true, force: true })
}

function readCommandLine(): { name: string; json: boolean } {
  try {
    const { values, positionals } = parseArgs({
      options: { json: { type: 'boolean', default: false } },
      allowPositionals: true,
    })
    const [name, ...more] = positionals
    if (name === undefined || more.length > 0) usage('Name one suite.')
    return { name, json: values.json }
  } catch (error) {
    usage(error instanceof Error ? error.message : String(error))
  }
}

function usage(problem: string): never {
  const list = Object.entries(SUITES).map(([name, { about }]) => `  ${name.padEnd(12)} ${about}`)
  console.error([problem, 'Usage: npm run bench -- SUITE [--json]', ...list].join('\n'))
  process.exit(2)
}

function print(figures: readonly Figure[]): void {
  console.log(
    `\n${cpus()[0]?.model ?? 'unknown processor'}, ${cpus().length} cores; medians of interleaved rounds`,
  )
  for (const { case: what, metric, value, unit, against, ratio } of figures) {
    const compared = ratio === undefined ? '' : `  ${ratio.toFixed(2)}× as fast as ${against}`
    console.log(`${what.padEnd(24)} ${metric.padEnd(14)} ${value.toFixed(2).padStart(9)} ${unit}${compared}`)
  }
}
