import type { BrowserContext, Page } from 'playwright/test'
import { launchWithHiddenTabs } from '../../packages/dev/src/launch-browser.ts'
import { MODEL, beginStreams, endStreams, expect, test } from './fixtures.ts'

const REQUEST = {
  ...{ model: 'stories@1', prompt: 'Once upon a time', temperature: 0, ignoreEos: true },
  maxTokens: 480,
}

const HANG_TIMEOUT_MS = 1000
const NUM_STREAMS = 16

test('a leading tab in the background serves on; one that the browser freezes loses the engine, and all streams end with the same text', async ({
  site,
}) => {
  const { context, close } = await launchWithHiddenTabs()
  try {
    const leader = await openTab(context, site.url)
    await leader.evaluate(async (url) => window.client.load(url, { maxRunning: 16 }), MODEL.stories1)
    const whole = await ask(leader)
    const follower = await openTab(context, site.url)
    await follower.bringToFront()
    const visibility = (tab: Page) => tab.evaluate(() => document.visibilityState)
    await expect.poll(() => visibility(leader)).toBe('hidden')
    expect(await visibility(follower)).toBe('visible')

    await beginStreams(follower, REQUEST, NUM_STREAMS)
    const hidden = await follower.evaluate(endStreams)
    expect(hidden.map(({ text }) => text)).toEqual(new Array(NUM_STREAMS).fill(whole))
    expect(await role(follower)).toBe('follower')

    await beginStreams(follower, REQUEST, NUM_STREAMS)
    await follower.waitForFunction(() => window.streams.every(({ text }) => text !== ''))
    const browser = await context.newCDPSession(leader)
    const froze = Date.now()
    await browser.send('Page.setWebLifecycleState', { state: 'frozen' })
    await expect.poll(() => role(follower), { timeout: 20_000 }).toBe('leader')
    const frozen = await follower.evaluate(endStreams)
    expect(frozen.map(({ text }) => text)).toEqual(new Array(NUM_STREAMS).fill(whole))
    // They were in the middle when nobody had noticed yet, and went on elsewhere.
    expect(frozen.some(({ at }) => at[0]! < froze && at.at(-1)! > froze + HANG_TIMEOUT_MS)).toBe(true)
    const pauses = [hidden, frozen].map((streams) => Math.max(...streams.map(longestPause)))
    console.log(`longest pause ${pauses[0]} ms beside a hidden leader, ${pauses[1]} ms when it froze`)

    await browser.send('Page.setWebLifecycleState', { state: 'active' })
    await expect.poll(() => role(leader), { timeout: 20_000 }).toBe('follower')
    expect(await ask(leader)).toBe(whole)
    expect(await role(follower)).toBe('leader')
  } finally {
    await close()
  }
})

async function openTab(context: BrowserContext, site: string): Promise<Page> {
  const tab = await context.newPage()
  await tab.goto(new URL('/script-tag/blank.html', site).href)
  await tab.evaluate(async (hangTimeoutMs) => {
    window.client = await window.tabserve.createClient({ share: true, hangTimeoutMs })
  }, HANG_TIMEOUT_MS)
  return tab
}

function ask(tab: Page): Promise<string> {
  return tab.evaluate(async (request) => (await window.client.generate(request)).text, REQUEST)
}

function role(tab: Page): Promise<string> {
  return tab.evaluate(() => window.client.role)
}

function longestPause({ at }: { readonly at: readonly number[] }): number {
  return Math.max(...at.slice(1).map((ms, index) => ms - (at[index] ?? ms)))
}
