import { pageWith } from './consumer.ts'
import { KERNELS, TEXT, THREADED_KERNELS, WORKER, expect, plainSite, test } from './fixtures.ts'
import { generate, served } from './served.ts'

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
