import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { expect, test as base } from 'playwright/test'
import type { BrowserContext, Page } from 'playwright/test'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { createServer } from 'vite'
import { launchPersistent } from '../../packages/dev/src/launch-browser.ts'
import { BUNDLERS } from './bundlers.ts'
import { APP, Consumer, pageWith } from './consumer.ts'
import { KnownFiles, generate, served } from './served.ts'

const ROOT = join(import.meta.dirname, '../..')
const WORKER = 'tabserve.worker.js'
const KERNELS = 'kernels-relaxed.wasm'
const THREADED_KERNELS = 'kernels-relaxed-threads.wasm'

/** What the bundled model says everywhere. */
const TEXT = ', there was a little girl named Lily. She loved to'

interface WorkerFixtures {
  readonly consumer: Consumer
  readonly files: KnownFiles
  readonly sharedContext: BrowserContext
}

const test = base.extend<{ readonly page: Page }, WorkerFixtures>({
  consumer: [
    async ({}, use) => {
      const consumer = await Consumer.create()
      await use(consumer)
      await consumer.remove()
    },
    { scope: 'worker', timeout: 240_000 },
  ],
  files: [
    async ({ consumer }, use) => use(await KnownFiles.read(consumer.installed('assets'))),
    { scope: 'worker' },
  ],
  sharedContext: [
    async ({}, use) => {
      const { context, close } = await launchPersistent()
      await use(context)
      await close()
    },
    { scope: 'worker' },
  ],
  page: async ({ sharedContext }, use) => {
    const page = await sharedContext.newPage()
    await use(page)
    await page.close()
  },
})

// One after the other: packing and installing takes longer than all of them.
test.describe.configure({ mode: 'default', timeout: 120_000 })

test.describe('the archive', () => {
  test('has doors, types, texts and maps, and nothing of this repository', async ({ consumer }) => {
    const paths = consumer.archive.files.map(({ path }) => path)
    for (const path of ['package.json', 'README.md', 'LICENSE', 'index.js', 'assets/tabserve.global.js'])
      expect(paths).toContain(path)
    expect(
      paths.filter((path) => /(^|\/)(test|src|node_modules)\//.test(path) && !path.startsWith('types/')),
    ).toEqual([])
    const scripts = paths.filter((path) => /^(assets\/tabserve\.)?[\w.-]+\.js$/.test(path))
    // A door that hands on what is in a chunk has nothing to map.
    const unmapped = scripts.filter((path) => !paths.includes(`${path}.map`))
    expect(unmapped.filter((path) => path !== 'prometheus.js')).toEqual([])
    const manifest = JSON.parse(await consumer.read('node_modules/tabserve/package.json')) as Record<
      string,
      unknown
    >
    expect(JSON.stringify(manifest)).not.toContain('workspace:')
    expect(manifest).not.toHaveProperty('scripts')
    expect(manifest).not.toHaveProperty('dependencies')
    for (const path of paths.filter((path) => /\.(js|d\.ts)$/.test(path) && !path.endsWith('xgrammar.js')))
      expect(await consumer.read(`node_modules/tabserve/${path}`), path).not.toMatch(
        /from\s*['"`]@tabserve\//,
      )
  })

  test('satisfies publint', async ({ consumer }) => {
    const { messages, pkg } = await publint({ pkgDir: consumer.installed(), strict: true, pack: false })
    expect(messages.map((message) => formatMessage(message, pkg))).toEqual([])
  })

  for (const [moduleResolution, module] of [
    ['bundler', 'esnext'],
    ['node16', 'node16'],
  ] as const)
    test(`gives types to an app with moduleResolution ${moduleResolution}, which checks libraries too`, async ({
      consumer,
    }) => {
      await consumer.write('types/app.ts', TYPED_APP)
      const compilerOptions = {
        strict: true,
        noEmit: true,
        target: 'es2022',
        lib: ['es2023', 'dom', 'dom.iterable', 'dom.asynciterable', 'esnext.disposable'],
        module,
        moduleResolution,
        types: [],
        skipLibCheck: false,
      }
      await consumer.write('types/tsconfig.json', JSON.stringify({ compilerOptions, files: ['app.ts'] }))
      const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
      const checked = await promisify(execFile)(process.execPath, [tsc, '-p', consumer.path('types')]).catch(
        (error: { stdout: string }) => error,
      )
      expect(checked.stdout).toBe('')
    })

  test('costs nothing where nothing of it is used', async ({ consumer }) => {
    const bundled = async (text: string) => {
      const stdin = { contents: text, resolveDir: consumer.folder }
      const { outputFiles } = await build({ stdin, bundle: true, format: 'esm', minify: true, write: false })
      return outputFiles[0]?.contents.byteLength ?? 0
    }
    expect(
      await bundled(`import 'tabserve'; import 'tabserve/prompt-api'; import 'tabserve/service-worker'`),
    ).toBe(0)
    const [whole, error] = [
      await bundled(`export * from 'tabserve'`),
      await bundled(`export { EngineError } from 'tabserve'`),
    ]
    expect(error).toBeLessThan(whole / 20)
  })
})

test.describe('an app', () => {
  for (const [name, bundle] of Object.entries(BUNDLERS))
    test(`that ${name} builds generates text, on kernels and on one build of onnxruntime`, async ({
      consumer,
      files,
      page,
    }) => {
      const folder = await bundle(consumer)
      await consumer.addModel(folder)
      const root = consumer.path(folder)
      const server = await served({ root })
      try {
        await page.goto(server.url)
        expect(await generate(page, { threads: 2 })).toEqual({ text: TEXT, runner: 'kernels', threads: 2 })
        expect(await files.among(root, server)).toEqual([THREADED_KERNELS, WORKER])
        server.fetched.clear()
        expect(await generate(page, { threads: 2, runner: 'heap' })).toEqual({
          text: TEXT,
          runner: 'heap',
          threads: 2,
        })
        expect(await files.among(root, server)).toEqual(
          expect.arrayContaining(['ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm']),
        )
        expect((await files.among(root, server)).filter((file) => /ort.*wasm$/.test(file))).toHaveLength(1)
      } finally {
        await server.close()
      }
    })

  test('that Vite serves while it is written generates text', async ({ consumer, page }) => {
    await consumer.write('dev/main.js', APP)
    await consumer.write('dev/index.html', pageWith('./main.js'))
    await consumer.addModel('dev/public')
    const vite = await createServer({
      root: consumer.path('dev'),
      configFile: false,
      logLevel: 'warn',
      server: { port: 0, host: '127.0.0.1' },
    })
    try {
      await vite.listen()
      await page.goto(vite.resolvedUrls?.local[0] ?? '')
      expect(await generate(page)).toEqual({ text: TEXT, runner: 'kernels', threads: 1 })
    } finally {
      await vite.close()
    }
  })
})

test.describe('a script tag', () => {
  test('works on a host that sends no headers, on one thread', async ({ consumer, files, page }) => {
    const root = await plainSite(consumer)
    const server = await served({ root, isolated: false })
    try {
      await page.goto(server.url)
      expect(await generate(page, { threads: 2 })).toEqual({ text: TEXT, runner: 'kernels', threads: 1 })
      expect(await files.among(root, server)).toEqual([KERNELS, 'tabserve.global.js', WORKER])
    } finally {
      await server.close()
    }
  })

  test('works from another origin, with threads, on kernels and on onnxruntime', async ({
    consumer,
    files,
    page,
  }) => {
    const cdn = await served({
      root: consumer.installed(),
      isolated: false,
      headers: { 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin' },
    })
    await consumer.write('cdn/index.html', pageWith(`${cdn.url}assets/tabserve.global.js`, 'classic'))
    await consumer.addModel('cdn')
    const server = await served({ root: consumer.path('cdn') })
    try {
      await page.goto(server.url)
      expect(await generate(page, { threads: 2, structured: true })).toEqual({
        text: ' there was a cat',
        runner: 'kernels',
        threads: 2,
      })
      expect(await files.among(consumer.installed(), cdn)).toEqual([
        THREADED_KERNELS,
        'tabserve.global.js',
        WORKER,
        'xgrammar.js',
      ])
      expect(await generate(page, { threads: 2, runner: 'heap' })).toEqual({
        text: TEXT,
        runner: 'heap',
        threads: 2,
      })
      expect(
        (await files.among(consumer.installed(), cdn)).filter((file) => /ort.*wasm$/.test(file)),
      ).toEqual(['ort-wasm-simd-threaded.wasm'])
    } finally {
      await cdn.close()
      await server.close()
    }
  })

  for (const policy of ['auto', 'require-corp'])
    test(`is isolated on a host without headers by the service worker, policy ${policy}`, async ({
      consumer,
      page,
    }) => {
      const server = await served({ root: await plainSite(consumer), isolated: false })
      try {
        await page.goto(server.url)
        const isolate = (script: string) => window.tabserve.isolatePage(script)
        const script = `/tabserve.isolation-worker.js?policy=${policy}`
        await Promise.all([page.waitForEvent('load'), page.evaluate(isolate, script).catch(() => {})]) // it reloads
        expect(await page.evaluate(isolate, script)).toBe(true)
        expect(await generate(page, { threads: 2 })).toEqual({ text: TEXT, runner: 'kernels', threads: 2 })
      } finally {
        await server.close()
      }
    })
})

test.describe('a strict content security policy', () => {
  const POLICY = [
    "default-src 'none'",
    "script-src 'self' 'wasm-unsafe-eval'",
    "worker-src 'self'",
    "connect-src 'self'",
    'img-src data:',
    'report-uri /violation',
  ]

  test('is not violated, with threads, onnxruntime and grammars', async ({ consumer, page }) => {
    const server = await served({
      root: await plainSite(consumer),
      headers: { 'content-security-policy': POLICY.join('; ') },
    })
    try {
      await page.goto(server.url)
      expect(await generate(page, { threads: 2, structured: true })).toMatchObject({
        text: ' there was a cat',
        runner: 'kernels',
      })
      expect(await generate(page, { threads: 2, runner: 'heap' })).toMatchObject({
        text: TEXT,
        runner: 'heap',
      })
      expect([...server.fetched]).not.toContain('/violation')
    } finally {
      await server.close()
    }
  })

  test('without wasm-unsafe-eval is, which is heard of', async ({ consumer, page }) => {
    const policy = POLICY.map((part) => part.replace(" 'wasm-unsafe-eval'", '')).join('; ')
    const server = await served({
      root: await plainSite(consumer),
      headers: { 'content-security-policy': policy },
    })
    try {
      await page.goto(server.url)
      await expect(generate(page)).rejects.toThrow()
      await expect.poll(() => [...server.fetched]).toContain('/violation')
    } finally {
      await server.close()
    }
  })
})

/** The package's `assets/` and the model, as somebody copies them beside a page. */
async function plainSite(consumer: Consumer): Promise<string> {
  const root = consumer.installed('assets')
  if (!existsSync(join(root, 'model'))) await consumer.addModel('node_modules/tabserve/assets')
  await consumer.write('node_modules/tabserve/assets/index.html', pageWith('tabserve.global.js', 'classic'))
  return root
}

const TYPED_APP = `import { createClient, EngineError, isolatePage } from 'tabserve'
import type { ClientOptions, GenerationResult, ModelInfo } from 'tabserve'
import { prometheusText } from 'tabserve/prometheus'
import { LanguageModel } from 'tabserve/prompt-api'
import { isolatePages, serveFromPages } from 'tabserve/service-worker'
import type { WorkerScope } from 'tabserve/service-worker'
import 'tabserve/worker'
import 'tabserve/broker'
import type * as global from 'tabserve/global'

export async function app(options: Partial<ClientOptions>, scope: WorkerScope): Promise<GenerationResult> {
  const isolated: boolean = await isolatePage('/tabserve.isolation-worker.js')
  const client = await createClient(options)
  const info: ModelInfo = await client.load('/model/')
  new LanguageModel(client, info.url)
  prometheusText(await client.metrics())
  isolatePages(scope, { policy: isolated ? 'auto' : 'require-corp' })
  serveFromPages(scope)
  const create: typeof global.createClient = createClient
  if (create === undefined) throw new EngineError('bad_request', 'no')
  // @ts-expect-error a request names its model
  client.generate({ prompt: 'x' })
  return client.generate({ model: info.id, prompt: 'Once' })
}
`
