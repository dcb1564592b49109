import type { Page } from 'playwright/test'
import type { LoadProgress, StorageWarning } from '../../packages/protocol/src/index.ts'
import { MODEL, expect, test } from './fixtures.ts'

/** Room for stories 1 (1.2 MB), not for stories 2 (3.5 MB). Given before the first load: Chromium remembers for a while how much was free. */
const QUOTA = 2_000_000

test('on a full origin the unpinned model gives way, then the model runs without being kept, with one warning', async ({
  page,
  site,
}) => {
  await limit(page, site.url, QUOTA)
  expect((await loadOf(page, MODEL.stories1)).warnings).toEqual([])
  const found = await loadOf(page, MODEL.stories2)
  expect(found.warnings).toMatchObject([{ reason: 'quota' }])
  expect(found.notStored).toEqual(found.warnings[0])
  const text = await page.evaluate(() => window.story('stories@2'))
  const stored = await page.evaluate(() => window.client.models.list())
  expect(stored.map(({ id, state }) => [id, state])).toEqual([['stories@1', 'absent']])
  await limit(page, site.url, 0) // as it was
  await page.evaluate(() => window.client.dispose())
  expect(await tell(page, MODEL.stories2)).toBe(text)
})

test('on a full origin a pinned model stays', async ({ page, site }) => {
  await limit(page, site.url, QUOTA)
  await loadOf(page, MODEL.stories1)
  await page.evaluate((url) => window.client.models.pin(url), MODEL.stories1)
  expect((await loadOf(page, MODEL.stories2)).warnings).toMatchObject([{ reason: 'quota' }])
  const { isRight } = await page.evaluate((url) => window.client.models.verify(url), MODEL.stories1)
  expect(isRight).toBe(true)
})

test('on a full origin what another model gives up makes room, but for what both share', async ({
  page,
  site,
}) => {
  await limit(page, site.url, 4_300_000)
  await loadOf(page, MODEL.stories1)
  const found = await loadOf(page, MODEL.stories2)
  expect(found.warnings).toEqual([])
  const stored = await page.evaluate(() => window.client.models.list())
  expect(stored.map(({ id, state }) => [id, state])).toEqual([
    ['stories@2', 'stored'],
    ['stories@1', 'partial'], // the tokenizer is one of both
  ])
})

/** What can happen to the database behind our back, by the key's beginning. */
const DAMAGES: Readonly<Record<string, readonly [prefix: string, damage: 'delete' | 'spoil']>> = {
  'a chunk was deleted': ['chunk ', 'delete'],
  'a chunk is something else': ['chunk ', 'spoil'],
  'a journal was deleted': ['file ', 'delete'],
  'a journal is something else': ['file ', 'spoil'],
  'a model record was deleted': ['model ', 'delete'],
  'a model record is something else': ['model ', 'spoil'],
}

for (const [what, [prefix, damage]] of Object.entries(DAMAGES)) {
  test(`where ${what}, the next load tells the same story`, async ({ page }) => {
    const first = await tell(page, MODEL.stories1)
    await page.evaluate(
      ({ prefix, damage }) =>
        new Promise<void>((resolve, reject) => {
          const opening = indexedDB.open('tabserve-weights')
          opening.onsuccess = () => {
            const store = opening.result.transaction('weights', 'readwrite').objectStore('weights')
            const keys = store.getAllKeys()
            keys.onsuccess = () => {
              const hit = keys.result.filter((key) => String(key).startsWith(prefix))
              if (hit.length === 0) reject(new Error(`there is no ${prefix}`))
              for (const key of hit) {
                if (damage === 'delete') store.delete(key)
                else store.put({ files: 'none', chunks: [{}] }, key)
              }
            }
            store.transaction.oncomplete = () => resolve()
            store.transaction.onerror = () => reject(new Error('could not spoil the store'))
          }
        }),
      { prefix, damage },
    )
    expect(await tell(page, MODEL.stories1)).toBe(first)
    expect((await loadOf(page, MODEL.stories1)).networkBytes).toBe(0) // it is whole again
  })
}

const NO_DATABASE = {
  'is not there': `Object.defineProperty(self, 'indexedDB', { value: undefined })`,
  'may not be touched': `Object.defineProperty(self, 'indexedDB', { get() { throw new DOMException('Denied.', 'SecurityError') } })`,
  'refuses to open': `indexedDB.open = () => { throw new DOMException('Private.', 'InvalidStateError') }`,
} as const

for (const [how, script] of Object.entries(NO_DATABASE)) {
  test(`where IndexedDB ${how}, a model runs from memory, and the load says so`, async ({ page }) => {
    const first = await tell(page, MODEL.stories1)
    await page.route('**/tabserve.worker.js', async (route) => {
      const response = await route.fetch()
      await route.fulfill({ response, body: `${script};\n${await response.text()}` })
    })
    const found = await loadOf(page, MODEL.stories1)
    expect(found.warnings).toMatchObject([{ reason: 'unavailable' }])
    expect(found.networkBytes).toBeGreaterThan(1_000_000)
    expect((await page.evaluate(() => window.client.models.storage())).kind).toBe('memory')
    expect(await page.evaluate(() => window.story('stories@1'))).toBe(first)
  })
}

for (const how of ['files', 'a directory'] as const) {
  test(`a model is loaded from ${how} that the user picked, told as local, and kept`, async ({ page }) => {
    const first = await tell(page, MODEL.stories1)
    await page.evaluate(() => window.client.clearCache())
    const requested: string[] = []
    page
      .context()
      .on('request', (request) => request.url().includes('/models/') && requested.push(request.url()))
    const picked = await page.evaluate(
      async ({ url, isDirectory }) => {
        const fetched = await Promise.all(
          ['manifest.json', 'model.onnx', 'model.onnx.data', 'tokenizer.json', 'tokenizer_config.json'].map(
            async (name) => new File([await (await fetch(url + name)).blob()], name),
          ),
        )
        const root = await navigator.storage.getDirectory()
        const folder = await root.getDirectoryHandle('picked', { create: true })
        for (const file of fetched) {
          const stream = await (await folder.getFileHandle(file.name, { create: true })).createWritable()
          await stream.write(file)
          await stream.close()
        }
        const sources = new Set<string>()
        const info = await window.client.load(isDirectory ? folder : fetched, {
          onProgress: (event) => event.phase === 'fetch' && sources.add(event.source),
        })
        const again = await window.client.load(info.url)
        return { url: info.url, load: info.load, again: again.load, sources: [...sources] }
      },
      { url: MODEL.stories1, isDirectory: how === 'a directory' },
    )
    expect(requested.length).toBe(5) // by the test itself
    expect(picked).toMatchObject({ url: 'picked:stories@1/', sources: ['local'] })
    expect(picked.load).toMatchObject({ networkBytes: 0, storedBytes: 0 })
    expect(picked.load.localBytes).toBeGreaterThan(1_000_000)
    expect(picked.again).toMatchObject({ networkBytes: 0, localBytes: 0 })
    expect(await page.evaluate(() => window.story('stories@1'))).toBe(first)
  })
}

test('picked files without a manifest, and one that is another file, are typed errors', async ({ page }) => {
  await loadOf(page, MODEL.stories1)
  const codes = await page.evaluate(async (url) => {
    const fetchFile = async (name: string) => new File([await (await fetch(url + name)).blob()], name)
    const failure = (files: File[]) =>
      window.client.load(files).then(
        () => 'loaded',
        ({ code, file }: { code: string; file?: string }) => `${code} ${file}`,
      )
    const others = await Promise.all(['model.onnx', 'tokenizer.json', 'tokenizer_config.json'].map(fetchFile))
    const data = new File([new Uint8Array(1_000)], 'model.onnx.data')
    return [await failure(others), await failure([await fetchFile('manifest.json'), ...others, data])]
  }, MODEL.stories2)
  expect(codes).toEqual(['model_not_found manifest.json', 'integrity model.onnx.data'])
})

declare global {
  interface Window {
    /** What a loaded model says, the same each time. */
    story: (model: string) => Promise<string>
  }
}

/** Loads a model in a client of its own. */
function loadOf(page: Page, url: string) {
  return page.evaluate(async (url) => {
    window.client = await window.tabserve.createClient()
    window.story = async (model) =>
      (await window.client.generate({ model, prompt: 'Once upon a time', temperature: 0, maxTokens: 20 }))
        .text
    const warnings: StorageWarning[] = []
    const onProgress = (event: LoadProgress) => {
      if (event.phase === 'not-stored') warnings.push(event.warning)
    }
    const { id, load } = await window.client.load(url, { onProgress })
    return { id, ...load, warnings }
  }, url)
}

async function tell(page: Page, url: string): Promise<string> {
  const { id } = await loadOf(page, url)
  return page.evaluate((id) => window.story(id), id)
}

/** Gives the origin so many bytes of storage in all; 0: as many as the browser would. */
async function limit(page: Page, site: string, quotaSize: number): Promise<void> {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('Storage.overrideQuotaForOrigin', {
    origin: new URL(site).origin,
    ...(quotaSize === 0 ? {} : { quotaSize }),
  })
}
