import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext, Page } from 'playwright/test'
import { serve } from '../../packages/dev/src/serve.ts'
import type { StaticServer } from '../../packages/dev/src/serve.ts'
import { expect, test } from './fixtures.ts'

const DIST = join(import.meta.dirname, '../../dist')

/** A site of its own for each test, which may be stopped and get a new version. */
let folder = ''
let server: StaticServer
test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabserve-pwa-'))
  await cp(join(DIST, 'pwa'), join(folder, 'pwa'), {
    recursive: true,
    filter: (path) => !path.includes('ort-wasm'),
  })
  await symlink(join(DIST, 'models'), join(folder, 'models'))
  server = await serve({ root: folder, port: 0 })
})
test.afterEach(async () => {
  await server.close()
  await rm(folder, { recursive: true, force: true })
})

test('after one visit it works without a server: page, worker, kernels and model', async ({ context }) => {
  const page = await visit(context)
  const online = await write(page, 'Once upon a time')
  const { port } = new URL(server.url)
  await server.close()
  await page.reload()
  await expect(page.getByTestId('status')).toHaveText(/ready: .* from this device, without a request/)
  expect(await page.evaluate(() => crossOriginIsolated)).toBe(true) // so threads too
  await expect(page.getByTestId('stories').locator('li')).toHaveText([online])
  expect(await write(page, 'Once upon a time')).toBe(online)
  server = await serve({ root: folder, port: Number(port) }) // for whoever closes it
})

test('a new version waits for the story that is being written, and keeps it', async ({ context }) => {
  const page = await visit(context)
  const undisturbed = await write(page, 'One day a dog')
  await publish('A second version')
  const other = await context.newPage()
  await other.goto(page.url())
  await other.evaluate(async () => (await navigator.serviceWorker.getRegistration())?.update())
  await expect(other.getByTestId('update-now')).toBeVisible()
  await page.evaluate(() => {
    // A page that paints slowly, so that the story takes seconds.
    const append = Element.prototype.append
    Element.prototype.append = function (...nodes) {
      const until = performance.now() + 60
      while (performance.now() < until);
      append.apply(this, nodes)
    }
  })
  await page.getByTestId('opening').fill('One day a dog')
  await expect(page.getByTestId('start')).toBeEnabled()
  // Its reader takes the new version while the story in the first tab is being written. In the page, which hears of both without the test in between.
  const taken = other.getByTestId('update-now').evaluate(async (now: HTMLButtonElement) => {
    const isWriting = async () =>
      (await navigator.locks.query()).held?.some(({ name }) => name === 'tabserve-notebook-writes') === true
    while (!(await isWriting())) await new Promise((resolve) => setTimeout(resolve, 20))
    now.click()
    const text = document.querySelector('[data-testid=update-text]')?.textContent
    return { text, isWriting: await isWriting() }
  })
  await page.getByTestId('start').evaluate((start: HTMLButtonElement) => start.click())
  expect(await taken).toEqual({
    text: expect.stringContaining('as soon as no story is being written') as unknown,
    isWriting: true,
  })
  await expect(page).toHaveTitle('A second version', { timeout: 30_000 }) // both tabs reload by themselves
  await expect(other).toHaveTitle('A second version')
  const text = await page.getByTestId('stories').locator('li').first().textContent()
  expect(text).toBe(undisturbed)
  expect(await write(page, 'One day a dog')).toBe(undisturbed)
})

test('what is kept is listed, and can be pinned and evicted', async ({ context }) => {
  const page = await visit(context)
  const rows = page.getByTestId('stored').locator('tr')
  await expect(rows).toHaveCount(2)
  await expect(rows.nth(0)).toContainText('works offline')
  await expect(rows.nth(1)).toContainText(/stories@2\d\.\d MB|stories@2/)
  await page.getByTestId('pin').click()
  await expect(rows.nth(1)).toContainText('pinned: never evicted')
  await page.getByTestId('unpin').click()
  await expect(rows.nth(1)).toContainText('evicted when room is needed')
  await page.getByTestId('evict').click()
  await expect(rows.nth(1)).toContainText('0 kB of')
  await expect(page.getByTestId('storage-summary')).toContainText('Models take 0 kB')
  // What is loaded goes on; the next visit brings the model back.
  expect(await write(page, 'Once')).not.toBe('Once')
  await page.reload()
  await expect(page.getByTestId('status')).toHaveText(/kept on this device/)
})

test('Chromium would install it', async ({ context }) => {
  const page = await visit(context)
  const session = await context.newCDPSession(page)
  const { installabilityErrors } = await session.send('Page.getInstallabilityErrors')
  expect(installabilityErrors.filter(({ errorId }) => errorId !== 'in-incognito')).toEqual([])
  const { errors, data } = await session.send('Page.getAppManifest')
  expect(errors).toEqual([])
  expect(JSON.parse(data ?? '{}')).toMatchObject({ display: 'standalone', start_url: './', scope: './' })
})

/** The page as its service worker and its model have everything. */
async function visit(context: BrowserContext): Promise<Page> {
  const page = await context.newPage()
  await page.goto(new URL('/pwa/', server.url).href)
  await expect(page.getByTestId('status')).toHaveText(/is ready/)
  await page.evaluate(async () => navigator.serviceWorker.ready)
  return page
}

/** Writes a story and returns it, beginning and all. */
async function write(page: Page, opening: string): Promise<string> {
  await page.getByTestId('opening').fill(opening)
  await page.getByTestId('start').click()
  await expect(page.getByTestId('status')).toHaveText(/^\d+ tokens at/)
  return (await page.getByTestId('stories').locator('li').first().textContent()) ?? ''
}

/** Another index page, and a service worker that knows of it. */
async function publish(title: string): Promise<void> {
  const index = join(folder, 'pwa/index.html')
  await writeFile(
    index,
    (await readFile(index, 'utf8')).replace(/<title>.*<\/title>/, `<title>${title}</title>`),
  )
  const worker = join(folder, 'pwa/sw.js')
  const text = await readFile(worker, 'utf8')
  const changed = text.replace(/(url:"index\.html",revision:")\w+/, '$1second')
  expect(changed).not.toBe(text)
  await writeFile(worker, changed)
}
