import type { BrowserContext, CDPSession } from 'playwright/test'
import { launchPersistent } from '../../packages/dev/src/launch-browser.ts'

/** What tests listen to; a list, as the context has listeners of its own. */
const EVENTS = [
  'request',
  'requestfinished',
  'requestfailed',
  'response',
  'page',
  'console',
  'weberror',
] as const

/** One browser for the tests of a worker process, one after another. Starting one costs a core about a second, which is more than most tests do. */
export class KeptBrowser {
  #launched: Promise<Launched> | undefined

  /** The browser, which has nothing open and keeps nothing. */
  async lend(): Promise<BrowserContext> {
    const { context } = await (this.#launched ??= launch())
    return context
  }

  /** Makes it as new; one that cannot be is ended, and the next test gets another. */
  async takeBack(): Promise<void> {
    const launched = await this.#launched
    if (launched === undefined) return
    try {
      await clear(launched)
    } catch {
      await this.close() // the test has closed it, or it died
    }
  }

  async close(): Promise<void> {
    const launched = this.#launched
    this.#launched = undefined
    await (await launched)?.close()
  }
}

interface Launched {
  readonly context: BrowserContext
  /** Of a page that stays, as a browser ends with its last one. */
  readonly cdp: CDPSession
  /** Every origin that a page has shown. */
  readonly origins: Set<string>
  close(): Promise<void>
}

async function launch(): Promise<Launched> {
  const { context, close } = await launchPersistent()
  const page = context.pages()[0] ?? (await context.newPage())
  return { context, cdp: await context.newCDPSession(page), origins: new Set(), close }
}

async function clear({ context, cdp, origins }: Launched): Promise<void> {
  const [, ...pages] = context.pages()
  for (const page of pages)
    for (const frame of page.frames())
      if (frame.url().startsWith('http')) origins.add(new URL(frame.url()).origin)
  await Promise.all(pages.map((page) => page.close()))
  for (const event of EVENTS) context.removeAllListeners(event)
  await context.unrouteAll({ behavior: 'ignoreErrors' })
  await context.setOffline(false)
  await Promise.all(
    [...origins].map((origin) => cdp.send('Storage.clearDataForOrigin', { origin, storageTypes: 'all' })),
  )
  await cdp.send('Network.clearBrowserCache')
}
