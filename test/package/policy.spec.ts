import { TEXT, expect, plainSite, test } from './fixtures.ts'
import { generate, served } from './served.ts'

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
