import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page, Route } from 'playwright/test'
import type { LoadProgress, ModelInfo } from '../../packages/protocol/src/index.ts'
import { MODEL, expect, storedKeys, test } from './fixtures.ts'

const FILES = join(import.meta.dirname, '../../dist', MODEL.stories1)

test('the second load needs no network and tells the same story', async ({ page }) => {
  const requested = watchRequests(page)
  const first = await loadAndTell(page)
  expect(requested.length).toBe(5)
  expect(first.info.load).toMatchObject({ storedBytes: 0 })
  expect(first.info.load.networkBytes).toBe(first.totalBytes)
  expect(first.sources).toEqual(['network'])
  expect(first.phases).toEqual(['fetch', 'verify', 'create', 'device', 'warm-up'])

  await page.reload()
  await page.route(`**${MODEL.stories1}**`, (route) => route.abort())
  requested.length = 0
  const second = await loadAndTell(page)
  expect(requested).toEqual([])
  expect(second.text).toBe(first.text)
  expect(second.sources).toEqual(['store'])
  expect(second.info.load).toMatchObject({ networkBytes: 0, storedBytes: first.totalBytes })
})

test('clearing the cache brings the network back, and spares what another model shares', async ({ page }) => {
  await loadAndTell(page)
  const shared = '/fixtures/copy/'
  await page.route(`**${shared}**`, (route) =>
    route.continue({ url: route.request().url().replace(shared, MODEL.stories1) }),
  )
  const copy = await loadAndTell(page, shared)
  expect(copy.info.load.networkBytes).toBe(0)
  await page.evaluate((url) => window.client.clearCache(url), MODEL.stories1)
  expect((await loadAndTell(page, shared)).sources).toEqual(['store'])
  await page.evaluate(() => window.client.clearCache())
  expect((await loadAndTell(page)).sources).toEqual(['network'])
})

test('a stored file that rotted is fetched again', async ({ page }) => {
  const first = await loadAndTell(page)
  await page.evaluate(
    (manifest) =>
      new Promise<void>((resolve, reject) => {
        const opening = indexedDB.open('tabserve-weights')
        opening.onsuccess = () => {
          const store = opening.result.transaction('weights', 'readwrite').objectStore('weights')
          const file = manifest.files.find(({ path }) => path === manifest.graph.externalData)
          const key = `chunk ${file?.sha256}-000000`
          const reading = store.get(key)
          reading.onsuccess = () => {
            const bytes = new Uint8Array(reading.result as ArrayBuffer)
            bytes[1000] = (bytes[1000] ?? 0) ^ 1
            store.put(bytes.buffer, key)
          }
          store.transaction.oncomplete = () => resolve()
          store.transaction.onerror = () => reject(new Error('could not spoil the store'))
        }
      }),
    first.info.manifest,
  )
  const second = await loadAndTell(page)
  expect(second.sources.toSorted()).toEqual(['network', 'store'])
  expect(second.text).toBe(first.text)
})

const BAD_FILES: readonly (readonly [
  what: string,
  file: string,
  answer: (route: Route) => Promise<void>,
  code: string,
  named: string,
])[] = [
  [
    'a flipped byte',
    'model.onnx.data',
    changed((bytes) => bytes.writeUInt8(bytes.readUInt8(5000) ^ 1, 5000)),
    'integrity',
    'model.onnx.data',
  ],
  [
    'a file cut short',
    'model.onnx',
    (route) => bodyOf(route).then((body) => route.fulfill({ body: body.subarray(0, 1000) })),
    'integrity',
    'model.onnx',
  ],
  [
    'a file too long',
    'tokenizer.json',
    (route) => bodyOf(route).then((body) => route.fulfill({ body: Buffer.concat([body, body]) })),
    'integrity',
    'tokenizer.json',
  ],
  [
    'a missing file',
    'model.onnx.data',
    (route) => route.fulfill({ status: 404 }),
    'model_not_found',
    'model.onnx.data',
  ],
  [
    'a missing manifest',
    'manifest.json',
    (route) => route.fulfill({ status: 404 }),
    'model_not_found',
    'manifest.json',
  ],
  [
    'a page instead of a manifest',
    'manifest.json',
    (route) => route.fulfill({ body: '<!doctype html>' }),
    'bad_model',
    'manifest.json',
  ],
  [
    'a manifest of something else',
    'manifest.json',
    (route) => route.fulfill({ json: { name: 'x' } }),
    'bad_model',
    'manifest.json',
  ],
  ['a server that fails', 'model.onnx', (route) => route.fulfill({ status: 503 }), 'network', 'model.onnx'],
  ['a connection that is cut', 'model.onnx.data', (route) => route.abort(), 'network', 'model.onnx.data'],
]

for (const [what, file, answer, code, named] of BAD_FILES) {
  test(`${what} is one ${code} error that names the file, nothing of it is kept, and the next load works`, async ({
    page,
  }) => {
    await page.route(`**${MODEL.stories1}${file}`, answer)
    expect(await failureOfLoad(page)).toMatchObject({ name: 'EngineError', code, file: named })
    expect((await storedKeys(page)).filter((key) => key.startsWith('model '))).toEqual([])
    if (code === 'integrity') expect(await storedKeys(page)).toEqual([])
    else if (file !== 'manifest.json') {
      const { files } = JSON.parse(
        await readFile(join(FILES, 'manifest.json'), 'utf8'),
      ) as ModelInfo['manifest']
      const sha256 = files.find(({ path }) => path === file)?.sha256 ?? 'not in the manifest'
      expect((await storedKeys(page)).filter((key) => key.includes(sha256))).toEqual([])
    }
    await page.unroute(`**${MODEL.stories1}${file}`)
    expect((await loadAndTell(page)).text).not.toBe('')
  })
}

test('a graph that is no ONNX file is bad_model, and the next load works', async ({ page }) => {
  const fake = Buffer.from('this is not a graph')
  const digest = await crypto.subtle.digest('SHA-256', fake)
  const manifest = JSON.parse(await readFile(join(FILES, 'manifest.json'), 'utf8')) as ModelInfo['manifest']
  const files = manifest.files.map((file) =>
    file.path === manifest.graph.file
      ? { ...file, bytes: fake.length, sha256: Buffer.from(digest).toString('hex') }
      : file,
  )
  await page.route(`**${MODEL.stories1}manifest.json`, (route) =>
    route.fulfill({ json: { ...manifest, files } }),
  )
  await page.route(`**${MODEL.stories1}${manifest.graph.file}`, (route) => route.fulfill({ body: fake }))
  // The kernels do without the graph.
  expect(await failureOfLoad(page, 'heap')).toMatchObject({ code: 'bad_model', file: manifest.graph.file })
  expect(await storedKeys(page)).toEqual([])
  expect((await loadAndTell(page, MODEL.stories2)).text).not.toBe('')
})

test('an aborted load is one aborted error, and the next load works', async ({ page }) => {
  const code = await page.evaluate(async (url) => {
    window.client = await window.tabserve.createClient()
    const abort = new AbortController()
    return window.client.load(url, { signal: abort.signal, onProgress: () => abort.abort() }).then(
      () => 'loaded',
      (error: { code: string }) => error.code,
    )
  }, MODEL.stories1)
  expect(code).toBe('aborted')
  expect((await loadAndTell(page)).text).not.toBe('')
})

test('two tabs that load one model at the same time download it once', async ({ page, context }) => {
  const requested = watchRequests(page)
  const other = await context.newPage()
  await other.goto(page.url())
  const [one, two] = await Promise.all([loadAndTell(page), loadAndTell(other)])
  expect(two.text).toBe(one.text)
  const files = requested.filter((url) => !url.endsWith('manifest.json'))
  expect(files.length).toBe(new Set(files).size)
})

test('a model is prefetched into the file system, listed, loaded without a request, and removed', async ({
  page,
}) => {
  const requested = watchRequests(page)
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient({ storage: { kind: 'opfs' } })
    window.client = client
    const before = await client.models.status(url)
    const prefetched = await client.models.prefetch(url)
    const { kind } = await client.models.storage()
    return { before, prefetched, kind, verified: await client.models.verify(url) }
  }, MODEL.stories1)
  expect(found).toMatchObject({
    kind: 'opfs',
    before: { state: 'absent', id: 'stories@1' },
    prefetched: { state: 'stored', missingBytes: 0 },
    verified: { isRight: true },
  })
  requested.length = 0
  const listed = await page.evaluate(async (url) => {
    await window.client.load(url)
    await window.client.models.remove(url)
    return window.client.models.list()
  }, MODEL.stories1)
  expect(requested).toEqual([])
  expect(listed).toEqual([])
})

test('a model of another origin than the allowed ones is refused before any request', async ({ page }) => {
  const requested = watchRequests(page)
  const code = await page.evaluate(async (url) => {
    window.client = await window.tabserve.createClient({
      storage: { allowedOrigins: ['https://models.example'] },
    })
    return window.client.load(url).then(
      () => 'loaded',
      (error: { code: string }) => error.code,
    )
  }, MODEL.stories1)
  expect(code).toBe('bad_request')
  expect(requested).toEqual([])
})

function watchRequests(page: Page): string[] {
  const requested: string[] = []
  // The context hears the worker's requests too.
  page
    .context()
    .on('request', (request) => request.url().includes(MODEL.stories1) && requested.push(request.url()))
  return requested
}

/** Loads a model in a client of its own and lets it tell the beginning of a story. */
async function loadAndTell(page: Page, url: string = MODEL.stories1) {
  return page.evaluate(async (url) => {
    window.client = await window.tabserve.createClient()
    const progress: LoadProgress[] = []
    const info = await window.client.load(url, { onProgress: (event) => progress.push(event) })
    const { text } = await window.client.generate({
      model: info.id,
      prompt: 'Once upon a time',
      temperature: 0,
      maxTokens: 20,
    })
    const fetches = progress.filter((event) => event.phase === 'fetch')
    return {
      info,
      text,
      totalBytes: fetches[0]?.totalBytes ?? 0,
      sources: [...new Set(fetches.map((event) => event.source))],
      phases: [...new Set(progress.map((event) => event.phase))],
    }
  }, url)
}

async function failureOfLoad(page: Page, runner: 'auto' | 'heap' = 'auto') {
  return page.evaluate(
    async ({ url, runner }) => {
      window.client = await window.tabserve.createClient()
      return window.client.load(url, { runner }).then(
        () => ({ code: 'loaded' }),
        ({ name, code, file }: { name: string; code: string; file?: string }) => ({ name, code, file }),
      )
    },
    { url: MODEL.stories1, runner },
  )
}

async function bodyOf(route: Route): Promise<Buffer> {
  return (await route.fetch()).body()
}

function changed(change: (bytes: Buffer) => void): (route: Route) => Promise<void> {
  return async (route) => {
    const body = await bodyOf(route)
    change(body)
    await route.fulfill({ body })
  }
}
