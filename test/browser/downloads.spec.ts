import { existsSync } from 'node:fs'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright/test'
import { launchPersistent } from '../../packages/dev/src/launch-browser.ts'
import type { LoadProgress, StorageConfig } from '../../packages/protocol/src/index.ts'
import type { Asked, BadServer } from '../unit/bad-server.ts'
import { serveBadly } from '../unit/bad-server.ts'
import { MODEL, expect, storedKeys, test } from './fixtures.ts'

const DATA = 'model.onnx.data'
const CHUNK = 2 ** 16

test('a browser that is killed at 60 % of a download fetches at most one chunk again', async ({ site }) => {
  test.skip(!existsSync('/proc/self/cmdline'), 'finds its own browser in /proc')
  const profile = await mkdtemp(join(tmpdir(), 'tabserve-killed-'))
  let reached = () => {}
  const isThere = new Promise<void>((resolve) => (reached = resolve))
  let isHeld = true
  const server = await serveBadly((asked, { sent }) => {
    if (!isHeld || asked.file !== DATA || asked.from < 0.6 * asked.whole.length) return false
    const { from, to, whole, response } = asked
    sent.set(DATA, (sent.get(DATA) ?? 0) + to - from)
    response.writeHead(206, { 'content-length': to - from })
    response.write(whole.subarray(from, Math.floor((from + to) / 2)), reached) // the rest never comes
    return true
  })
  try {
    const first = await launchPersistent([], profile)
    void openAndLoad(first.context.pages()[0] ?? (await first.context.newPage()), site.url, server).catch(
      () => {}, // it dies with the browser
    )
    await isThere
    await killBrowser(profile)
    await first.close()
    isHeld = false
    const second = await launchPersistent([], profile)
    const found = await openAndLoad(await second.context.newPage(), site.url, server)
    await second.close()
    const fileBytes = (await dataBytes()).length
    expect(found).toMatchObject({ code: 'loaded' })
    expect(found.storedBytes).toBeGreaterThan(0.5 * fileBytes)
    expect((server.sent.get(DATA) ?? 0) - fileBytes).toBeLessThanOrEqual(CHUNK)
  } finally {
    await server.close()
    await rm(profile, { recursive: true, force: true, maxRetries: 5 })
  }
})

test('a connection that is cut at 60 % without retries costs at most one chunk', async ({ page }) => {
  let isBroken = true
  await withServer(
    ({ file, from, whole, response }) => {
      if (!isBroken || file !== DATA || from < 0.6 * whole.length) return false
      response.destroy()
      return true
    },
    async (server) => {
      expect(await load(page, server.url, { retries: 0 })).toMatchObject({ code: 'network', file: DATA })
      isBroken = false
      expect(await load(page, server.url)).toMatchObject({ code: 'loaded' })
      expect((server.sent.get(DATA) ?? 0) - (await dataBytes()).length).toBeLessThanOrEqual(CHUNK)
    },
  )
})

test('a redirect within the origin, and one to an allowed origin with ranges, bring the model', async ({
  page,
}) => {
  await withServer(undefined, async (cdn) => {
    const redirect = ({ file, path, response }: Asked) => {
      if (file === 'model.onnx' && !path.includes('moved'))
        response.writeHead(302, { location: '/moved/model.onnx' }).end()
      else if (file === DATA) response.writeHead(302, { location: cdn.url + DATA }).end()
      else return false
      return true
    }
    await withServer(redirect, async (server) => {
      const allowedOrigins = [server.url, cdn.url]
      expect(await load(page, server.url, { allowedOrigins })).toMatchObject({ code: 'loaded' })
      expect(server.requests.filter((file) => file === 'model.onnx').length).toBe(2)
      expect(cdn.requests.length).toBeGreaterThan(10) // a range each
      expect(cdn.sent.get(DATA)).toBe((await dataBytes()).length)
    })
  })
})

test('a redirect to an origin that is not allowed is refused, and nothing of its answer is kept', async ({
  page,
}) => {
  await withServer(undefined, async (elsewhere) => {
    const redirect = ({ file, response }: Asked) => {
      if (file === DATA) response.writeHead(302, { location: elsewhere.url + DATA }).end()
      return file === DATA
    }
    await withServer(redirect, async (server) => {
      const found = await load(page, server.url, { allowedOrigins: [server.url] })
      expect(found).toMatchObject({ code: 'bad_request', file: DATA })
      expect(found.message).toContain(new URL(elsewhere.url).origin)
      const sha256 = await dataHash()
      expect((await storedKeys(page)).filter((key) => key.includes(sha256))).toEqual([])
    })
  })
})

test('where only the own origin is allowed, a redirect elsewhere is refused before anybody there is asked', async ({
  page,
  site,
}) => {
  await withServer(undefined, async (elsewhere) => {
    await page.route(`**${MODEL.stories1}${DATA}`, (route) =>
      route.fulfill({ status: 302, headers: { location: elsewhere.url + DATA } }),
    )
    const found = await load(page, MODEL.stories1, { allowedOrigins: [site.url], retries: 0 })
    expect(found).toMatchObject({ code: 'network', file: DATA })
    expect(found.message).toContain('allowedOrigins')
    expect(elsewhere.requests).toEqual([])
  })
})

test('a tab that waits for the download of another one says so, and reads it from the store', async ({
  page,
  context,
}) => {
  let release = () => {}
  const released = new Promise<void>((resolve) => (release = resolve))
  let asked = () => {}
  const isAsked = new Promise<void>((resolve) => (asked = resolve))
  const hold = ({ file, before, from, to, whole, response }: Asked) => {
    if (file !== DATA || before !== 1) return false
    asked()
    void released.then(() => response.writeHead(206).end(whole.subarray(from, to)))
    return true
  }
  await withServer(hold, async (server) => {
    const other = await context.newPage()
    await other.goto(page.url())
    const first = load(page, server.url)
    await isAsked
    const second = load(other, server.url)
    await expect.poll(() => other.evaluate(() => window.phases.includes('waiting'))).toBe(true)
    release()
    expect(await first).toMatchObject({ code: 'loaded', storedBytes: 0 })
    expect(await second).toMatchObject({ code: 'loaded', networkBytes: 0 })
  })
})

const WRONG: readonly StorageConfig[] = [
  { retries: -1 },
  { retryBaseMs: 0.5 },
  { retryMaxMs: NaN },
  { stallMs: 0 },
  { chunkBytes: 1000 },
]

test('settings of downloads are checked at the door', async ({ page }) => {
  for (const storage of WRONG) {
    const found = await load(page, MODEL.stories1, storage)
    expect(found).toMatchObject({ code: 'bad_request' })
    expect(found.message).toContain(`storage.${Object.keys(storage).join()}`)
  }
})

declare global {
  interface Window {
    /** Phases that `load` has heard of. */
    phases: LoadProgress['phase'][]
  }
}

async function withServer(
  misbehave: Parameters<typeof serveBadly>[0],
  use: (server: BadServer) => Promise<void>,
): Promise<void> {
  const server = await serveBadly(misbehave)
  try {
    await use(server)
  } finally {
    await server.close()
  }
}

async function openAndLoad(page: Page, site: string, server: BadServer) {
  await page.goto(new URL('/script-tag/blank.html', site).href)
  return load(page, server.url)
}

/** Loads with a client of its own: what the report says, or the error. */
function load(page: Page, url: string, storage: StorageConfig = {}) {
  return page.evaluate(
    async ({ url, storage }) => {
      window.phases = []
      try {
        window.client = await window.tabserve.createClient({ storage })
        const info = await window.client.load(url, { onProgress: ({ phase }) => window.phases.push(phase) })
        const { networkBytes, storedBytes } = info.load
        return { code: 'loaded', message: '', file: '', networkBytes, storedBytes }
      } catch (error) {
        const { code, message, file } = error as { code: string; message: string; file?: string }
        return { code, message, file, networkBytes: 0, storedBytes: 0 }
      }
    },
    { url, storage: { chunkBytes: CHUNK, retryBaseMs: 10, ...storage } },
  )
}

/** Kills the browser that has this profile, and no other: like a crash, without a word to anybody. */
async function killBrowser(profile: string): Promise<void> {
  for (const id of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const command = await readFile(`/proc/${id}/cmdline`, 'utf8').catch(() => '') // gone in the meantime
    if (command.includes(`--user-data-dir=${profile}`)) process.kill(Number(id), 'SIGKILL')
  }
}

function dataBytes(): Promise<Buffer> {
  return readFile(join(import.meta.dirname, '../../models/stories/v1', DATA))
}

async function dataHash(): Promise<string> {
  return Buffer.from(await crypto.subtle.digest('SHA-256', new Uint8Array(await dataBytes()))).toString('hex')
}
