import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test as base } from 'playwright/test'
import type { BrowserContext, Page } from 'playwright/test'
import { launchPersistent } from '../../packages/dev/src/launch-browser.ts'
import { Consumer, pageWith } from './consumer.ts'
import { KnownFiles } from './served.ts'

export { expect } from 'playwright/test'

/** What the bundled model says everywhere. */
export const TEXT = ', there was a little girl named Lily. She loved to'

/** The worker's script, and the kernels that this browser takes. */
export const WORKER = 'tabserve.worker.js'
export const KERNELS = 'kernels-relaxed.wasm'
export const THREADED_KERNELS = 'kernels-relaxed-threads.wasm'

interface WorkerFixtures {
  readonly consumer: Consumer
  readonly files: KnownFiles
  readonly sharedContext: BrowserContext
}

export const test = base.extend<{ readonly page: Page }, WorkerFixtures>({
  consumer: [
    async ({}, use) => {
      const consumer = await Consumer.create()
      await use(consumer)
      await consumer.remove()
    },
    { scope: 'worker', timeout: 240_000 },
  ],
  files: [
    async ({ consumer }, use) => use(await KnownFiles.read(consumer.installed('assets'))),
    { scope: 'worker' },
  ],
  sharedContext: [
    async ({}, use) => {
      const { context, close } = await launchPersistent()
      await use(context)
      await close()
    },
    { scope: 'worker' },
  ],
  page: async ({ sharedContext }, use) => {
    const page = await sharedContext.newPage()
    await use(page)
    await page.close()
  },
})

/** The package's `assets/` and the model, as somebody copies them beside a page. */
export async function plainSite(consumer: Consumer): Promise<string> {
  const root = consumer.installed('assets')
  if (!existsSync(join(root, 'model'))) await consumer.addModel('node_modules/tabserve/assets')
  await consumer.write('node_modules/tabserve/assets/index.html', pageWith('tabserve.global.js', 'classic'))
  return root
}
