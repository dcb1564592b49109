import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { build } from 'esbuild'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { expect, test } from './fixtures.ts'

const ROOT = join(import.meta.dirname, '../..')

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
      const { outputFiles } = await build({
        stdin,
        bundle: true,
        format: 'esm',
        minify: true,
        write: false,
        logLevel: 'error',
      })
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

const TYPED_APP = `import { createClient, EngineError, isolatePage } from 'tabserve'
import type { ClientOptions, GenerationResult, ModelInfo } from 'tabserve'
import { prometheusText } from 'tabserve/prometheus'
import { LanguageModel } from 'tabserve/prompt-api'
import { isolatePages, serveFromPages } from 'tabserve/service-worker'
import type { WorkerScope } from 'tabserve/service-worker'
import { startWorker } from 'tabserve/worker'
import type { Handler, Tensors } from 'tabserve/worker'
import 'tabserve/worker-file'
import 'tabserve/broker'
import type * as global from 'tabserve/global'

export function worker(own: Handler<Float32Array, Tensors>): void {
  startWorker({ handlers: { own: () => own } })
}

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
