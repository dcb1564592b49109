import { build, createServer } from 'vite'
import { BUNDLERS } from './bundlers.ts'
import { APP, pageWith } from './consumer.ts'
import { TEXT, THREADED_KERNELS, WORKER, expect, test } from './fixtures.ts'
import { generate, served } from './served.ts'

const OWN_WORKER = `import { startWorker } from 'tabserve/worker'
startWorker({ functions: { shout: (text) => text.toUpperCase() } })
`

const OWN_APP = `import { createClient } from 'tabserve'
const worker = () => new Worker(new URL('./worker.js', import.meta.url), { type: 'module' })
window.tabserve = { createClient: (options) => createClient({ ...options, worker }) }
`

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

  test('with a worker file of its own generates text on threads, and runs its function there', async ({
    consumer,
    page,
  }) => {
    await consumer.write('own/worker.js', OWN_WORKER)
    await consumer.write('own/main.js', OWN_APP)
    await consumer.write('own/index.html', pageWith('./main.js'))
    await consumer.addModel('own/public')
    const root = consumer.path('own')
    await build({ root, configFile: false, logLevel: 'warn', worker: { format: 'es' } })
    const server = await served({ root: consumer.path('own/dist') })
    try {
      await page.goto(server.url)
      expect(await generate(page, { threads: 2 })).toEqual({ text: TEXT, runner: 'kernels', threads: 2 })
      const said = await page.evaluate(async () => {
        const client = await window.tabserve.createClient()
        const nodes = { said: { function: 'shout', input: 'input' } }
        const pipeline = await client.pipeline({ name: 'shouting', nodes, output: 'said' })
        return pipeline.run('hear me')
      })
      expect(said).toBe('HEAR ME')
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
