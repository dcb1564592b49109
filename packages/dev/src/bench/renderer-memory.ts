import { readFile } from 'node:fs/promises'
import type { Page } from 'playwright'

const INTERVAL_MS = 10
const PAGE_BYTES = 4096

/**
 * Watches the resident memory of the renderers of a page's browser, in Linux's `/proc`: a worker lives in its page's renderer. `stop` gives by how
 * many bytes the one that grew most was larger at its peak than at the beginning; NaN where there is no `/proc`.
 */
export async function watchRenderers(page: Page): Promise<{ stop(): Promise<number> }> {
  const session = await page.context().browser()?.newBrowserCDPSession()
  const { processInfo = [] } = (await session?.send('SystemInfo.getProcessInfo')) ?? {}
  const ids = processInfo.filter(({ type }) => type === 'renderer').map(({ id }) => id)
  const first = await Promise.all(ids.map(residentBytes))
  const peaks = [...first]
  let isOver = false
  const watching = (async () => {
    while (!isOver) {
      for (const [index, id] of ids.entries()) {
        const now = await residentBytes(id)
        if (now > (peaks[index] ?? NaN)) peaks[index] = now
      }
      await new Promise((resolve) => setTimeout(resolve, INTERVAL_MS))
    }
  })()
  return {
    async stop() {
      isOver = true
      await watching
      await session?.detach()
      const growths = peaks.map((peak, index) => peak - (first[index] ?? NaN)).filter((growth) => growth >= 0)
      return growths.length === 0 ? NaN : Math.max(...growths)
    },
  }
}

async function residentBytes(id: number): Promise<number> {
  const text = await readFile(`/proc/${id}/statm`, 'utf8').catch(() => '') // another system, or a renderer that has gone
  return text === '' ? NaN : Number(text.split(' ')[1]) * PAGE_BYTES
}
