import { rm } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import type { BrowserContext, Page } from 'playwright/test'
import { makeRandomModel } from '../../packages/convert/src/index.ts'
import { SHAPE_15M } from '../../packages/dev/src/bench/shapes.ts'
import { pageMemory } from '../../packages/dev/src/browser-memory.ts'
import { MODEL, beginStreams, endStreams, expect, test } from './fixtures.ts'

const REQUEST = { model: 'stories@1', prompt: 'Once upon a time', temperature: 0, ignoreEos: true }

test('three tabs share one worker and one copy of the weights, and all stream', async ({ context, site }) => {
  const tabs = await openTabs(context, site.url, 3)
  const infos = await Promise.all(tabs.map((tab) => load(tab)))
  expect(infos.map(({ networkBytes }) => networkBytes > 0)).toEqual([true, true, true]) // one and the same load
  expect(tabs.map((tab) => tab.workers().length).toSorted()).toEqual([0, 0, 1])
  const results = await Promise.all(
    tabs.map((tab) =>
      tab.evaluate(async (request) => {
        const stream = window.client.generate({ ...request, maxTokens: 200 })
        let numDeltas = 0
        for await (const _ of stream) numDeltas++
        return { numDeltas, text: (await stream).text, role: window.client.role }
      }, REQUEST),
    ),
  )
  expect(results.map(({ role }) => role).toSorted()).toEqual(['follower', 'follower', 'leader'])
  expect(new Set(results.map(({ text }) => text)).size).toBe(1)
  for (const { numDeltas } of results) expect(numDeltas).toBeGreaterThan(50)
  const health = await Promise.all(tabs.map((tab) => tab.evaluate(() => window.client.health())))
  for (const { models } of health)
    expect(models).toMatchObject([{ id: 'stories@1', replicas: [{ state: 'ready' }] }])
})

test.describe('in a browser of its own', () => {
  test.use({ ownBrowser: true })

  test('three tabs that share hold the weights once, three that do not hold them three times', async ({
    context,
    site,
  }) => {
    test.skip(pageMemory() === undefined, 'this system does not tell how much memory a process holds')
    test.slow() // seven times 61 MB
    const name = 'tabs-memory'
    const out = joinPath(import.meta.dirname, '../../dist/fixtures', name)
    await rm(out, { recursive: true, force: true })
    const options = { shape: SHAPE_15M, contextLength: 64, weights: 'fp32', version: '1' } as const
    const { manifest } = await makeRandomModel({ ...options, out, name })
    const weights = manifest.files.find(({ path }) => path.endsWith('.data'))!.bytes
    /** What the first tab and all three hold, beyond what they hold without the model, and what each says. */
    const held = async (share: boolean) => {
      const tabs = await openTabs(context, site.url, 3, undefined, share)
      const grown: number[] = []
      const texts: string[] = []
      const before = await settledMemory()
      for (const [index, tab] of tabs.entries()) {
        texts.push(await tab.evaluate(loadAndAsk, { url: `/fixtures/${name}/`, name }))
        if (index !== 1) grown.push((await settledMemory()) - before)
      }
      for (const tab of tabs) await tab.close()
      const [one = NaN, three = NaN] = grown
      return { one, three, texts }
    }
    const [shared, alone] = [await held(true), await held(false)]
    expect(new Set([...shared.texts, ...alone.texts]).size).toBe(1)
    const [ofWeights, ...figures] = [weights, shared.one, shared.three, alone.one, alone.three].map((bytes) =>
      (bytes / 1e6).toFixed(0),
    )
    console.log(
      `weights ${ofWeights} MB; one and three sharing, one and three alone: ${figures.join(', ')} MB`,
    )
    expect(shared.three - shared.one).toBeLessThan(0.7 * weights)
    expect(alone.three - alone.one).toBeGreaterThan(1.6 * weights)
  })
})

test('when the leading tab closes in the middle of their streams the others finish with the same text', async ({
  context,
  site,
}) => {
  const [leader, ...others] = (await openTabs(context, site.url, 3)) as [Page, Page, Page]
  await load(leader, 16)
  await context.route('**/*.{json,onnx,data}', (route) => route.abort())
  const whole = await leader.evaluate(
    async (request) => (await window.client.generate({ ...request, maxTokens: 480 })).text,
    REQUEST,
  )
  await Promise.all(others.map((tab) => beginStreams(tab, { ...REQUEST, maxTokens: 480 }, 8)))
  await Promise.all(
    others.map((tab) => tab.waitForFunction(() => window.streams.some(({ text }) => text !== ''))),
  )
  const closing = Date.now()
  await leader.close()
  const closed = Date.now()
  const streams = (await Promise.all(others.map((tab) => tab.evaluate(endStreams)))).flat()
  expect(streams.map(({ text }) => text)).toEqual(new Array(16).fill(whole))
  const cut = streams.filter(({ at }) => at[0]! < closing && at.at(-1)! > closed)
  expect(cut.length).toBeGreaterThan(0)
  const gapsMs = cut.map(({ at }) => Math.max(...at.slice(1).map((ms, index) => ms - at[index]!)))
  console.log(`${cut.length} streams changed the tab; longest pause ${Math.max(...gapsMs).toFixed(0)} ms`)
  const roles = await Promise.all(others.map((tab) => tab.evaluate(() => window.client.role)))
  expect(roles.toSorted()).toEqual(['follower', 'leader'])
  expect(others.map((tab) => tab.workers().length).toSorted()).toEqual([0, 1])
})

test('a tab that closes leaves nothing running', async ({ context, site }) => {
  const [leader, follower] = (await openTabs(context, site.url, 2)) as [Page, Page]
  await load(follower)
  await beginStreams(follower, { ...REQUEST, maxTokens: 480 }, 8)
  await follower.waitForFunction(() => window.streams.some(({ text }) => text !== ''))
  await follower.close()
  const stats = () => leader.evaluate(async () => window.client.stats('stories'))
  await expect.poll(stats).toMatchObject({ running: 0, waiting: 0 })
  expect(
    await leader.evaluate(async () => (await window.client.health()).models[0]?.replicas[0]?.requests),
  ).toBe(0)
})

test('a leading tab that does not answer loses the engine, and follows when it wakes', async ({
  context,
  site,
}) => {
  const [leader, follower] = (await openTabs(context, site.url, 2, 1000)) as [Page, Page]
  await load(leader)
  const whole = await leader.evaluate(
    async (request) => (await window.client.generate({ ...request, maxTokens: 100 })).text,
    REQUEST,
  )
  const asleep = leader.evaluate(() => {
    const started = performance.now()
    while (performance.now() - started < 5000);
  })
  await expect.poll(() => follower.evaluate(() => window.client.role)).toBe('leader')
  const ask = (tab: Page) =>
    tab.evaluate(
      async (request) => (await window.client.generate({ ...request, maxTokens: 100 })).text,
      REQUEST,
    )
  expect(await ask(follower)).toBe(whole)
  await asleep
  expect(await ask(leader)).toBe(whole)
  expect(await leader.evaluate(() => window.client.role)).toBe('follower')
  await expect.poll(() => leader.workers().length).toBe(0)
})

test('a model that one tab puts to sleep sleeps for all, also when the leading tab closes, until one of them wakes it', async ({
  context,
  site,
}) => {
  const [leader, follower, other] = (await openTabs(context, site.url, 3)) as [Page, Page, Page]
  await load(leader)
  const ask = (tab: Page) =>
    tab.evaluate(
      async (request) => (await window.client.generate({ ...request, maxTokens: 100 })).text,
      REQUEST,
    )
  const whole = await ask(follower)
  await leader.evaluate(() => window.client.sleep('stories@1'))
  const waiting = ask(follower)
  const state = (tab: Page) =>
    tab.evaluate(async () => {
      // Between two leaders nobody answers.
      const [model] = (await window.client.health().catch(() => ({ models: [] }))).models
      return { state: model?.state, sleep: model?.sleep, waiting: model?.waiting }
    })
  const sleep = { level: 1, arriving: 'wait' }
  await expect.poll(() => state(other)).toEqual({ state: 'asleep', sleep, waiting: 1 })
  await leader.close()
  // The next leader has no worker for it, and starts none.
  await expect
    .poll(() => state(other))
    .toEqual({ state: 'asleep', sleep: { ...sleep, level: 2 }, waiting: 1 })
  await other.evaluate(() => window.client.wake('stories@1'))
  expect(await waiting).toBe(whole)
  expect(await ask(other)).toBe(whole)
})

test('a model goes when the last tab that loaded it unloads it, and what is forgotten stays so', async ({
  context,
  site,
}) => {
  const [leader, follower] = (await openTabs(context, site.url, 2)) as [Page, Page]
  await load(leader)
  await load(follower)
  const list = (tab: Page) => tab.evaluate(async () => (await window.client.list()).map(({ id }) => id))
  await leader.evaluate(() => window.client.unload('stories'))
  expect(await list(leader)).toEqual(['stories@1'])
  await leader.evaluate(() => window.client.dispose())
  await expect.poll(() => follower.evaluate(() => window.client.role)).toBe('leader')
  expect(await list(follower)).toEqual(['stories@1'])
  await follower.evaluate(() => window.client.dispose())
  await join(follower)
  expect(await list(follower)).toEqual([])
})

test('a memory budget counts what other tabs have loaded', async ({ context, site }) => {
  const [leader, follower] = (await openTabs(context, site.url, 2)) as [Page, Page]
  await load(leader)
  const code = await follower.evaluate(
    async ({ loaded, more }) => {
      const { kvBytes, heapBytes = 0, manifest } = await window.client.describe('stories@1')
      const bytes = Math.max(heapBytes, kvBytes + manifest.files.reduce((sum, { bytes }) => sum + bytes, 0))
      window.client.dispose()
      window.client = await window.tabserve.createClient({ share: true, memoryBudgetBytes: bytes + 1e6 })
      await window.client.load(loaded) // it is there, and counts once
      return window.client.load(more).then(
        () => 'loaded',
        ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
      )
    },
    { loaded: MODEL.stories1, more: MODEL.stories2 },
  )
  expect(code).toMatch(/^memory: .* beside \d+ MB of stories@1/)
  expect(await leader.evaluate(async () => (await window.client.list()).length)).toBe(1)
})

test('tabs that do not say so do not share', async ({ context, site }) => {
  const tabs = await openTabs(context, site.url, 2, undefined, false)
  await Promise.all(tabs.map((tab) => load(tab)))
  expect(tabs.map((tab) => tab.workers().length)).toEqual([1, 1])
  expect(await tabs[0]?.evaluate(() => window.client.role)).toBe('alone')
})

/** The first one leads. */
async function openTabs(
  context: BrowserContext,
  site: string,
  count: number,
  hangTimeoutMs?: number,
  share = true,
): Promise<Page[]> {
  const tabs: Page[] = []
  for (let index = 0; index < count; index++) {
    const tab = await context.newPage()
    await tab.goto(new URL('/script-tag/blank.html', site).href)
    await join(tab, hangTimeoutMs, share)
    tabs.push(tab)
  }
  return tabs
}

async function join(tab: Page, hangTimeoutMs?: number, share = true): Promise<void> {
  await tab.evaluate(
    async ({ hangTimeoutMs, share }) => {
      window.client = await window.tabserve.createClient({
        share,
        ...(hangTimeoutMs === undefined ? {} : { hangTimeoutMs }),
      })
    },
    { hangTimeoutMs, share },
  )
}

function load(tab: Page, maxRunning = 8): Promise<{ networkBytes: number }> {
  return tab.evaluate(async ({ url, maxRunning }) => (await window.client.load(url, { maxRunning })).load, {
    url: MODEL.stories1,
    maxRunning,
  })
}

/** What the browser's pages hold, once that grows no more. */
async function settledMemory(): Promise<number> {
  let last = Infinity
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, 500))
    const now = pageMemory() ?? NaN
    if (Math.abs(now - last) < 2e6) return now
    last = now
  }
}

/** In the page: the model's answer, as tokens. */
async function loadAndAsk({ url, name }: { url: string; name: string }): Promise<string> {
  await window.client.load(url, { maxRunning: 1 })
  const answer = window.client.generate({ model: name, promptTokens: [5, 6], temperature: 0, maxTokens: 8 })
  return (await answer).tokens.join()
}
