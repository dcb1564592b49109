import { KERNEL_CHECKS } from '../conformance/kernels/index.ts'
import { MODEL, expect, test } from './fixtures.ts'

for (const variant of ['plain', 'relaxed', 'plain-threads', 'relaxed-threads'] as const)
  test(`${variant}: every kernel equals its slow reference`, async ({ harnessPage }) => {
    const names = await harnessPage.evaluate(
      (variant) => window.harness.checkKernels(variant, window.assets),
      variant,
    )
    expect(names).toEqual(Object.keys(KERNEL_CHECKS))
  })

test('a page that serves a covered decoder fetches one small wasm and nothing of onnxruntime', async ({
  page,
  site,
}) => {
  const fetched: string[] = []
  page.context().on('response', (response) => fetched.push(new URL(response.url()).pathname))
  await page.goto(new URL('/script-tag/blank.html', site.url).href)
  const info = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient({ threads: 1 })
    const { id, runner, runnerReason, heapBytes } = await client.load(url)
    const { text } = await client.generate({ model: id, prompt: 'Once upon a time', maxTokens: 8 })
    return { runner, runnerReason, heapBytes, text }
  }, MODEL.stories2)
  expect(info).toMatchObject({ runner: 'kernels', text: expect.stringMatching(/./) })
  expect(info.runnerReason).toBeUndefined()
  expect(info.heapBytes).toBeGreaterThan(3_300_000)
  expect(fetched.filter((path) => path.endsWith('.wasm'))).toEqual(['/kernels-relaxed.wasm'])
  // Its own files, and ours that have its JavaScript in them.
  expect(fetched.filter((path) => /\/(ort-wasm|ort\.|(public|gpu)-ort)/.test(path))).toEqual([])
})

test('what the kernels do not cover goes to onnxruntime, and the model says why', async ({ page }) => {
  await page.route(`**${MODEL.stories1}manifest.json`, async (route) => {
    const manifest = (await (await route.fetch()).json()) as { graph: { decoder?: unknown } }
    delete manifest.graph.decoder
    await route.fulfill({ json: manifest })
  })
  const info = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient()
    const { id } = await client.load(url)
    const { runner, runnerReason } = await client.describe(id)
    const refused = await client
      .load(url, { runner: 'kernels' })
      .catch((error: { code: string }) => error.code)
    const half = await client.load(url, { kvType: 'float16' }).catch((error: { code: string }) => error.code)
    return { runner, runnerReason, refused, half }
  }, MODEL.stories1)
  expect(info).toEqual({
    runner: 'heap',
    runnerReason: 'not kernels: its manifest does not list its tensors',
    refused: 'bad_request',
    half: 'bad_request',
  })
})

test('half and quarter KV take half and about a quarter of the bytes and tell nearly the same story', async ({
  page,
}) => {
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient({ threads: 1 })
    const results = []
    for (const kvType of ['float32', 'float16', 'int8'] as const) {
      const { id, kvBytes } = await client.load(url, { kvType })
      const request = { model: id, prompt: 'Once upon a time', temperature: 0, maxTokens: 40, logprobs: 0 }
      const answer = await client.generate(request)
      results.push({ kvBytes, text: answer.text })
    }
    return results
  }, MODEL.stories2)
  const [full, half, quarter] = found
  expect(half?.kvBytes).toBe((full?.kvBytes ?? 0) / 2)
  expect(quarter?.kvBytes).toBeLessThan((full?.kvBytes ?? 0) / 3.5)
  expect(half?.text).toBe(full?.text)
  expect(quarter?.text.slice(0, 20)).toBe(full?.text.slice(0, 20))
})
