import type { Tab } from './bench.ts'

/** Runs a job in a tab of a headless browser, and closes the browser. */
export type WithTab = <T>(job: (tab: Tab) => Promise<T>) => Promise<T>

/** By Playwright, where it and a Chromium of its own are installed, or one that TABSERVE_CHROMIUM names; else `undefined`. */
export async function findChromium(): Promise<WithTab | undefined> {
  const playwright = await import('playwright').catch(() => undefined) // not installed is an answer
  if (playwright === undefined) return undefined
  const executablePath = process.env['TABSERVE_CHROMIUM']
  return async (job) => {
    const browser = await playwright.chromium.launch({
      ...(executablePath === undefined ? {} : { executablePath }),
      // Containers have no user namespaces.
      ...(process.getuid?.() === 0 ? { args: ['--no-sandbox'] } : {}),
    })
    try {
      return await job(await browser.newPage())
    } finally {
      await browser.close()
    }
  }
}
