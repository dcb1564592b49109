import { createHash } from 'node:crypto'
import { cp, readFile, realpath } from 'node:fs/promises'
import { join } from 'node:path'
import { launchPersistent } from '../../packages/dev/src/launch-browser.ts'
import { pageWith } from './consumer.ts'
import { TEXT, expect, test } from './fixtures.ts'
import { generate } from './served.ts'

const RECIPES = join(import.meta.dirname, '../../packages/docs/guides/recipes.md')

test('a page of an extension with the manifest of the recipe generates text, on threads', async ({
  consumer,
}) => {
  const [, recipe = ''] = /```json\n(.*?)```/s.exec(await readFile(RECIPES, 'utf8')) ?? []
  const manifest = { manifest_version: 3, name: 'tabserve', version: '1', ...JSON.parse(recipe) }
  await consumer.write('extension/manifest.json', JSON.stringify(manifest))
  await consumer.write('extension/index.html', pageWith('assets/tabserve.global.js', 'classic'))
  await cp(consumer.installed('assets'), consumer.path('extension/assets'), { recursive: true })
  await consumer.addModel('extension')
  const folder = await realpath(consumer.path('extension'))
  const { context, close } = await launchPersistent([
    `--disable-extensions-except=${folder}`,
    `--load-extension=${folder}`,
    '--disable-features=DisableLoadExtensionCommandLineSwitch', // Chrome with its brand has it
  ])
  try {
    const page = await context.newPage()
    await page.goto(`chrome-extension://${idOf(folder)}/index.html`)
    expect(await generate(page, { threads: 2 })).toEqual({ text: TEXT, runner: 'kernels', threads: 2 })
  } finally {
    await close()
  }
})

/** What Chromium calls an extension without a key: its path's hash, in the letters from a to p. */
function idOf(folder: string): string {
  const hash = createHash('sha256').update(folder).digest('hex').slice(0, 32)
  return hash.replace(/./g, (digit) => String.fromCharCode('a'.charCodeAt(0) + Number.parseInt(digit, 16)))
}
