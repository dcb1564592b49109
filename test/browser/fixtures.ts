import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright/test'
import { test as base } from 'playwright/test'
import { SOFTWARE_GPU, launchPersistent } from '../../packages/dev/src/launch-browser.ts'
import { serve } from '../../packages/dev/src/serve.ts'
import { KeptBrowser } from './kept-browser.ts'

export { expect } from 'playwright/test'

const ROOT = join(import.meta.dirname, '../..')
export const SHARED = join(ROOT, '../shared')
export const hasShared = existsSync(SHARED)
export const NO_HALF = 'the adapter of this browser has no shader-f16'
export const NO_SHARED = '../shared, the folder of test models, is not here'

/** The bundled model, and the fixtures that `global-setup.ts` converts, as paths of the site. */
export const MODEL = {
  stories1: '/models/stories/v1/',
  stories2: '/models/stories/v2/',
  fp32: '/fixtures/stories260K-fp32/',
  int8: '/fixtures/stories260K-int8/',
  q4: '/fixtures/stories260K-q4/',
  'genai-float32': '/fixtures/genai-float32/',
  'genai-float16': '/fixtures/genai-float16/',
  'optimum-float32': '/fixtures/optimum-float32/',
  'optimum-float16': '/fixtures/optimum-float16/',
  'optimum-counted': '/fixtures/optimum-counted/',
} as const

declare global {
  interface Window {
    /** What the streams of `beginStreams` have said, when, and that they ended. */
    streams: { text: string; readonly at: number[]; done: Promise<void> }[]
  }
}

interface Fixtures {
  /** A page of the site with `window.tabserve`, in a browser whose storage, routes and offline switch last as long as the test. */
  readonly page: Page
  readonly context: BrowserContext
  /** A page with `window.harness`. */
  readonly harnessPage: Page
  /** A page with `window.doors`, and the bundled model in `window.client`. */
  readonly doorsPage: Page
}

interface Options {
  /** Gives the browser a GPU that is computed on the CPU. */
  readonly gpu: boolean
  /** Starts a browser for this test alone: where memory is measured. */
  readonly ownBrowser: boolean
}

interface WorkerFixtures {
  readonly keptBrowser: KeptBrowser
  /** The built site, cross-origin isolated. */
  readonly site: { readonly url: string }
  /** The same without the headers. */
  readonly plainSite: { readonly url: string }
  /** Whether the adapter that the browser computes on the CPU has halves: SwiftShader has none. */
  readonly hasHalf: boolean
}

export const test = base.extend<Fixtures & Options, WorkerFixtures>({
  gpu: [false, { option: true }],
  ownBrowser: [false, { option: true }],
  keptBrowser: [
    async ({}, use) => {
      const browser = new KeptBrowser()
      await use(browser)
      await browser.close()
    },
    { scope: 'worker' },
  ],
  site: [
    async ({}, use) => {
      const server = await serve({ root: join(ROOT, 'dist'), port: 0 })
      await use(server)
      await server.close()
    },
    { scope: 'worker' },
  ],
  plainSite: [
    async ({}, use) => {
      const server = await serve({ root: join(ROOT, 'dist'), port: 0, isolated: false })
      await use(server)
      await server.close()
    },
    { scope: 'worker' },
  ],
  hasHalf: [
    async ({ site }, use) => {
      const { context, close } = await launchPersistent([SOFTWARE_GPU])
      const page = await context.newPage()
      await page.goto(new URL('/script-tag/blank.html', site.url).href)
      const has = await page.evaluate(async () =>
        (await navigator.gpu.requestAdapter())?.features.has('shader-f16'),
      )
      await close()
      await use(has === true)
    },
    { scope: 'worker' },
  ],
  context: async ({ gpu, ownBrowser, keptBrowser }, use) => {
    if (!gpu && !ownBrowser) {
      await use(await keptBrowser.lend())
      return keptBrowser.takeBack()
    }
    const { context, close } = await launchPersistent(gpu ? [SOFTWARE_GPU] : [])
    await use(context)
    await close()
  },
  page: async ({ context, site }, use) => {
    const page = await context.newPage()
    await page.goto(new URL('/script-tag/blank.html', site.url).href)
    await use(page)
  },
  harnessPage: async ({ context, site }, use) => {
    const page = await context.newPage()
    await page.goto(new URL('/harness/index.html', site.url).href)
    await page.waitForFunction(() => 'harness' in window)
    await use(page)
  },
  doorsPage: async ({ context, site }, use) => {
    const page = await context.newPage()
    await page.goto(new URL('/harness/doors.html', site.url).href)
    await page.waitForFunction(() => 'doors' in window)
    await page.evaluate(async (url) => {
      window.client = await window.doors.createClient()
      await window.client.load(url)
    }, MODEL.stories1)
    await use(page)
  },
})

/** A client with the model of this address, as `window.client`. */
export async function load(page: Page, url: string): Promise<void> {
  await page.evaluate(async (url) => {
    window.client = await window.tabserve.createClient()
    await window.client.load(url)
  }, url)
}

/** In the page: begins streams of one request, which `endStreams` ends. */
export async function beginStreams(tab: Page, request: object, count: number): Promise<void> {
  await tab.evaluate(
    ({ request, count }) => {
      window.streams = Array.from({ length: count }, () => {
        const stream = { text: '', at: [] as number[], done: Promise.resolve() }
        const read = async () => {
          for await (const { text } of window.client.generate(request as never)) {
            stream.text += text
            stream.at.push(Date.now())
          }
        }
        stream.done = read()
        stream.done.catch(() => {}) // whoever ends the streams hears of it
        return stream
      })
    },
    { request, count },
  )
}

/** In the page: what the streams have said, and when, once they have ended. */
export async function endStreams(): Promise<{ text: string; at: readonly number[] }[]> {
  await Promise.all(window.streams.map(({ done }) => done))
  return window.streams.map(({ text, at }) => ({ text, at }))
}

/** Every key of the weight store in IndexedDB. */
export function storedKeys(page: Page): Promise<string[]> {
  return page.evaluate(
    () =>
      new Promise<string[]>((resolve, reject) => {
        const opening = indexedDB.open('tabserve-weights')
        opening.onerror = () => reject(new Error('no database'))
        opening.onsuccess = () => {
          if (!opening.result.objectStoreNames.contains('weights')) return resolve([])
          const keys = opening.result.transaction('weights').objectStore('weights').getAllKeys()
          keys.onsuccess = () => resolve(keys.result.map(String))
        }
      }),
  )
}
