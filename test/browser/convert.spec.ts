import { cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Page } from 'playwright/test'
import type { ConvertOptions, LoadProgress } from 'tabserve'
import { readLlama2c } from '../../packages/convert/src/checkpoint/llama2c.ts'
import { convertGguf, convertHuggingFace } from '../../packages/convert/src/index.ts'
import type { ConvertResult, ModelOptions } from '../../packages/convert/src/index.ts'
import { readTokenizer } from '../../packages/convert/src/tokenizer/read-tokenizer.ts'
import { llama2cGguf } from '../../packages/convert/test/llama2c-export.ts'
import { writeHuggingFaceFolder } from '../../packages/convert/test/huggingface-folder.ts'
import { shared } from '../../packages/convert/test/shared.ts'
import { watchBrowserMemory } from '../../packages/dev/src/browser-memory.ts'
import { writeLargeCheckpoint } from '../../packages/dev/src/large-checkpoint.ts'
import { MODEL, NO_SHARED, expect, hasShared, storedKeys, test } from './fixtures.ts'

let folder = ''
test.beforeEach(async () => {
  test.skip(!hasShared, NO_SHARED)
  folder = await mkdtemp(join(tmpdir(), 'convert-browser-'))
})
test.afterEach(() => rm(folder, { recursive: true, force: true }))

type Source = 'gguf' | 'safetensors' | 'shards' | 'fixture'
const CASES: readonly (readonly [Source, 'q4' | 'int8' | 'fp16' | 'fp32', what: string])[] = [
  ['fixture', 'q4', 'a GGUF of another maker'],
  ['gguf', 'fp16', 'stories260K as a GGUF'],
  ['safetensors', 'int8', 'stories260K as safetensors'],
  ['shards', 'fp32', 'stories260K as safetensors in shards'],
]

for (const [source, weights, what] of CASES) {
  test(`${what} becomes in the tab what the command line makes of it, byte for byte, and tells the same in ${weights}`, async ({
    page,
  }) => {
    const path = await sourceAt(source)
    const { manifest } = await onCommandLine(path, weights)
    await pick(page, join(folder, 'out'))
    const expected = await page.evaluate(
      async ({ tell }) => {
        const client = await window.tabserve.createClient({ storage: { kind: 'memory' } })
        const files = document.querySelector('input')?.files ?? []
        const { id } = await client.load(files)
        const { tokens } = await client.generate({ model: id, ...tell })
        client.dispose()
        return tokens
      },
      { tell: TELL },
    )
    await pick(page, path)
    const made = await convert(page, { name: 'made', version: '2', weights })
    expect(made.stored).toMatchObject({ url: 'picked:made@2/', id: 'made@2', state: 'stored' })
    // The last word of progress may cross the answer.
    expect(made.progress.at(-1)?.loadedBytes).toBeGreaterThan(0.99 * (made.stored?.totalBytes ?? NaN))
    const loaded = await loadAndTell(page, 'picked:made@2/')
    expect(loaded.manifest).toEqual(manifest)
    expect(loaded.tokens).toEqual(expected)
  })
}

test('a made model loads offline on the next visit, and is listed, verified and removed like any other', async ({
  page,
}) => {
  await pick(page, await sourceAt('gguf'))
  const { stored } = await convert(page, {})
  expect(stored).toMatchObject({ id: 'stories@1' })
  const url = stored?.url ?? ''
  const { tokens } = await loadAndTell(page, url)
  await page.goto(page.url())
  const requested: string[] = []
  page
    .context()
    .on(
      'request',
      (request) => /models|fixtures|convert/.test(request.url()) && requested.push(request.url()),
    )
  const again = await loadAndTell(page, url)
  expect(again.tokens).toEqual(tokens)
  expect(again.networkBytes).toBe(0)
  expect(requested).toEqual([])
  const found = await page.evaluate(async (url) => {
    const { models } = window.client
    const before = [await models.list(), await models.status(url), await models.verify(url)] as const
    await models.remove(url)
    return { before, after: await models.list() }
  }, url)
  expect(found).toMatchObject({
    before: [
      [{ url, state: 'stored' }],
      { state: 'stored', missingBytes: 0 },
      { isRight: true, damaged: [] },
    ],
    after: [],
  })
  expect(await storedKeys(page)).toEqual([])
})

test('a conversion into the file system stands beside one into IndexedDB', async ({ page }) => {
  await pick(page, await sourceAt('safetensors'))
  const { stored } = await convert(page, {}, { storage: { kind: 'opfs' } })
  expect(stored).toMatchObject({ id: 'source@1', state: 'stored' })
  const verified = await page.evaluate((url) => window.client.models.verify(url), stored?.url ?? '')
  expect(verified.isRight).toBe(true)
  expect(await storedKeys(page)).toEqual([])
})

test('a folder that a page holds a handle of is converted under its name, and a model folder is loaded', async ({
  page,
}) => {
  const source = await sourceAt('safetensors')
  await onCommandLine(source, 'int8')
  await pick(page, source)
  await copyToHandle(page, 'My model')
  await pick(page, join(folder, 'out'))
  await copyToHandle(page, 'out')
  const ids = await page.evaluate(async () => {
    const root = await navigator.storage.getDirectory()
    const client = await window.tabserve.createClient()
    const stored = await client.models.convert(await root.getDirectoryHandle('My model'))
    const loaded = await client.load(await root.getDirectoryHandle('out'))
    return [stored.id, loaded.id]
  })
  expect(ids).toEqual(['My-model@1', 'made@2'])
})

test('a signal in the middle is one aborted error, nothing is kept, and the next conversion works', async ({
  page,
}) => {
  await pick(page, await sourceAt('gguf'))
  const code = await page.evaluate(async () => {
    const client = (window.client = await window.tabserve.createClient())
    const abort = new AbortController()
    const files = document.querySelector('input')?.files ?? []
    const { signal } = abort
    const onProgress = ({ phase, ...rest }: LoadProgress) => {
      if (phase === 'convert' && 'file' in rest && rest.file === 'model.onnx.data') abort.abort()
    }
    const options = { weights: 'fp32', signal, onProgress } as const
    return client.models.convert(files, options).then(
      () => 'converted',
      (error: { code: string }) => error.code,
    )
  })
  expect(code).toBe('aborted')
  expect(await page.evaluate(() => window.client.models.list())).toEqual([])
  expect(await storedKeys(page)).toEqual([])
  await pick(page, await sourceAt('gguf'))
  expect((await convert(page, {})).stored).toMatchObject({ state: 'stored' })
})

test('a tab that is closed in the middle leaves nothing to be seen, and the next visit clears up', async ({
  page,
}) => {
  await pick(page, await sourceAt('gguf'))
  await page.evaluate(async () => {
    window.client = await window.tabserve.createClient()
    const files = document.querySelector('input')?.files ?? []
    await new Promise<void>((resolve) => {
      const onProgress = (progress: LoadProgress) =>
        progress.phase === 'convert' && progress.file === 'model.onnx.data' && resolve()
      void window.client.models.convert(files, { weights: 'fp32', onProgress })
    })
    window.client.dispose()
  })
  await page.reload()
  expect((await storedKeys(page)).length).toBeGreaterThan(0)
  await expect
    .poll(async () => {
      // The dead worker's locks are let go of a little later.
      const listed = await page.evaluate(async () => {
        const client = await window.tabserve.createClient()
        const models = await client.models.list()
        client.dispose()
        return models
      })
      return [...listed, ...(await storedKeys(page))]
    })
    .toEqual([])
})

test('what cannot be converted is one error that says which file and what to do, and nothing is kept', async ({
  page,
}) => {
  const gguf = await sourceAt('gguf')
  const hf = await sourceAt('safetensors')
  const variant = async (name: string, change: (path: string) => Promise<void>): Promise<string> => {
    await cp(hf, join(folder, name), { recursive: true })
    await change(join(folder, name))
    return join(folder, name)
  }
  await truncate(gguf, 600_000)
  const config = JSON.parse(await readFile(join(hf, 'config.json'), 'utf8')) as object
  const unknown = await variant('unknown', (path) =>
    writeFile(join(path, 'config.json'), JSON.stringify({ ...config, model_type: 'mamba' })),
  )
  const silent = await variant('silent', (path) => rm(join(path, 'tokenizer.json')))
  const cut = await variant('cut', (path) => truncate(join(path, 'model.safetensors'), 500_000))
  const noConfig = await variant('no-config', (path) => rm(join(path, 'config.json')))
  const other = await variant('other', (path) => rm(join(path, 'model.safetensors')))
  const cases: readonly (readonly [path: string, code: string, file: string | undefined, said: RegExp])[] = [
    [gguf, 'bad_model', 'stories.gguf', /cut off .*Download the file again/],
    [cut, 'bad_model', 'cut/model.safetensors', /cut off .*Download the file again/],
    [unknown, 'bad_model', undefined, /"mamba" is not one that can be converted: llama, .*Pick another/],
    [silent, 'model_not_found', 'tokenizer.json', /neither tokenizer\.json nor .*Pick .* the whole folder/],
    [noConfig, 'model_not_found', 'no-config/config.json', /Pick .* the whole folder: config\.json/],
    [other, 'model_not_found', 'model.safetensors', /no \.safetensors file/],
    [join(folder, 'source', 'config.json'), 'model_not_found', 'model.safetensors', /no \.safetensors file/],
    [join(hf, 'tokenizer.json'), 'bad_model', undefined, /None of the picked files/],
  ]
  for (const [path, code, file, said] of cases) {
    await pick(page, path)
    const { error } = await convert(page, {})
    expect(error, path).toEqual({ name: 'EngineError', code, file, message: expect.stringMatching(said) })
  }
  await pick(page, hf)
  for (const [options, said] of [
    [{ weights: 'q2' }, /weights must be one of "q4"/],
    [{ name: 'a/b' }, /name must be made of/],
    [{ contextLength: 0 }, /contextLength must be/],
    [{ wheights: 'q4' }, /convert has no option wheights/],
  ] as const) {
    const { error } = await convert(page, options as ConvertOptions)
    expect(error).toMatchObject({ code: 'bad_request', message: expect.stringMatching(said) })
  }
  const { error } = await convert(page, {}, { storage: { budgetBytes: 100_000 } })
  expect(error).toMatchObject({ code: 'storage', message: expect.stringMatching(/budget of 100000/) })
  expect(await storedKeys(page)).toEqual([])
})

test('a model folder is not converted again, and a checkpoint is not loaded as it is', async ({ page }) => {
  const path = await sourceAt('gguf')
  await onCommandLine(path, 'q4')
  await pick(page, join(folder, 'out'))
  expect((await convert(page, {})).error).toMatchObject({
    code: 'bad_request',
    message: /load them as they are/,
  })
  await pick(page, path)
  const error = await page.evaluate(() =>
    window.client.load(document.querySelector('input')?.files ?? []).then(
      () => ({ code: 'loaded', message: '' }),
      ({ code, message }: { code: string; message: string }) => ({ code, message }),
    ),
  )
  expect(error).toMatchObject({ code: 'model_not_found', message: expect.stringMatching(/models\.convert/) })
})

test('a page that only loads and generates never fetches the converter', async ({ page, site }) => {
  const requested: string[] = []
  page.context().on('request', (request) => requested.push(new URL(request.url()).pathname))
  const isConverter = (path: string) => /convert/.test(path)
  await loadAndTell(page, MODEL.stories1)
  await page.goto(new URL('chat/index.html', site.url).href)
  await page.getByTestId('load').click()
  await expect(page.getByTestId('status')).toHaveText(/is ready\.$/, { timeout: 20_000 })
  expect(requested.some((path) => path.endsWith('.wasm'))).toBe(true) // else the workers were not heard
  expect(requested.filter(isConverter)).toEqual([])
  await page.goto(new URL('/script-tag/blank.html', site.url).href)
  await pick(page, await sourceAt('gguf'))
  await convert(page, {})
  expect(requested.filter(isConverter)).toEqual(['/tabserve.convert.js'])
})

test('a page whose policy forbids eval converts all the same', async ({ page }) => {
  await page.route(/blank\.html|tabserve\..*\.js/, async (route) => {
    const response = await route.fetch()
    const policy = "default-src 'self' 'unsafe-inline' 'wasm-unsafe-eval'"
    await route.fulfill({
      response,
      headers: { ...response.headers(), 'content-security-policy': policy },
    })
  })
  await page.reload()
  await pick(page, await sourceAt('gguf'))
  expect((await convert(page, {})).stored).toMatchObject({ state: 'stored' })
})

test.describe('in a browser of its own', () => {
  test.use({ ownBrowser: true })

  test('a model of 730 MB is converted in less than half the memory that it has', async ({ page }) => {
    test.skip(process.platform !== 'linux', 'this system does not tell how much memory a process has held')
    test.setTimeout(180_000)
    const path = join(folder, 'large')
    const bytes = await writeLargeCheckpoint(path, 32)
    await pick(page, path)
    await page.evaluate(async () => void (window.client = await window.tabserve.createClient()))
    const grown = watchBrowserMemory()
    const stored = await page.evaluate(() =>
      window.client.models.convert(document.querySelector('input')?.files ?? [], { weights: 'int8' }),
    )
    const { pageBytes, otherBytes } = grown?.() ?? { pageBytes: Infinity, otherBytes: Infinity }
    expect(pageBytes).toBeGreaterThan(2 ** 24) // else the wrong processes were watched
    expect(pageBytes + otherBytes).toBeLessThan(bytes / 2) // 180 to 230 MB, whatever the size
    // Several chunks a file, read back.
    expect(await page.evaluate((url) => window.client.models.verify(url), stored.url)).toMatchObject({
      isRight: true,
      checkedBytes: stored.totalBytes,
    })
  })
})

const TELL = { prompt: 'Once upon a time', temperature: 0, maxTokens: 24, ignoreEos: true }

/** A checkpoint in the test's folder: a file, or a folder called `source`. */
async function sourceAt(source: Source): Promise<string> {
  if (source === 'fixture') return shared('models/gguf/llama-2-tiny-random.gguf')
  const checkpoint = readLlama2c(await readFile(shared('models/llama2c/stories260K.bin')))
  const vocabulary = readTokenizer(await readFile(shared('models/llama2c/tok512.bin')))
  if (source === 'gguf') {
    const path = join(folder, 'stories.gguf')
    await writeFile(path, llama2cGguf(checkpoint, vocabulary, 3))
    return path
  }
  const path = join(folder, 'source')
  await mkdir(path, { recursive: true })
  await writeHuggingFaceFolder(path, checkpoint, vocabulary, source === 'shards' ? 3 : 1)
  return path
}

function onCommandLine(path: string, weights: ModelOptions['weights']): Promise<ConvertResult> {
  const options = { out: join(folder, 'out'), name: 'made', version: '2', weights }
  return path.endsWith('.gguf')
    ? convertGguf({ ...options, file: path })
    : convertHuggingFace({ ...options, folder: path })
}

/** Picks a file or a folder on the page. */
async function pick(page: Page, path: string): Promise<void> {
  const isFile = /\.\w+$/.test(path)
  await page.evaluate((isFile) => {
    document.body.innerHTML = isFile ? '<input type="file" multiple>' : '<input type="file" webkitdirectory>'
  }, isFile)
  await page.setInputFiles('input', path)
}

/** Copies the picked files into a folder of the origin's private file system, which gives handles without asking anybody. */
async function copyToHandle(page: Page, name: string): Promise<void> {
  await page.evaluate(async (name) => {
    const root = await navigator.storage.getDirectory()
    const target = await root.getDirectoryHandle(name, { create: true })
    for (const file of document.querySelector('input')?.files ?? []) {
      const writable = await (await target.getFileHandle(file.name, { create: true })).createWritable()
      await writable.write(file)
      await writable.close()
    }
  }, name)
}

/** Converts what is picked, in a client of its own. */
function convert(
  page: Page,
  options: ConvertOptions,
  clientOptions: Parameters<typeof window.tabserve.createClient>[0] = {},
) {
  return page.evaluate(
    async ({ options, clientOptions }) => {
      window.client = await window.tabserve.createClient(clientOptions)
      const progress: Extract<LoadProgress, { phase: 'convert' }>[] = []
      const onProgress = (event: LoadProgress) => event.phase === 'convert' && progress.push(event)
      const files = document.querySelector('input')?.files ?? []
      return window.client.models.convert(files, { ...options, onProgress }).then(
        (stored) => ({ stored, progress, error: undefined }),
        ({ name, code, file, message }: { name: string; code: string; file?: string; message: string }) => ({
          stored: undefined,
          progress,
          error: { name, code, file, message },
        }),
      )
    },
    { options, clientOptions },
  )
}

function loadAndTell(page: Page, url: string) {
  return page.evaluate(
    async ({ url, tell }) => {
      window.client = await window.tabserve.createClient()
      const { id, manifest, load } = await window.client.load(url)
      const { tokens } = await window.client.generate({ model: id, ...tell })
      return { manifest, tokens, networkBytes: load.networkBytes }
    },
    { url, tell: TELL },
  )
}
