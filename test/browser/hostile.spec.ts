import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import type { Page } from 'playwright/test'
import type { Manifest } from '../../packages/protocol/src/index.ts'
import { mutatedBytes } from '../hostile/mutations.ts'
import { MODEL, expect, test } from './fixtures.ts'

const DIST = join(import.meta.dirname, '../../dist')
const GRAPH = 'onnx/model.onnx'
/** What a load of somebody else's files may end with. */
const TYPED = ['loaded', 'bad_model', 'backend_failed', 'memory', 'engine_lost']

test('spoiled graphs whose hashes match are loaded or refused by a typed error, and the page goes on', async ({
  page,
}) => {
  test.setTimeout(120_000)
  const graph = await readFile(join(DIST, MODEL['optimum-float32'], GRAPH))
  const graphs = fc.sample(mutatedBytes(graph, Math.min(graph.length, 20_000)), { numRuns: 8, seed: 11 })
  await page.evaluate(
    async () => (window.client = await window.tabserve.createClient({ hangTimeoutMs: 5000 })),
  )
  const codes: string[] = []
  for (const [index, bytes] of graphs.entries()) {
    const url = await serveSpoiled(page, MODEL['optimum-float32'], index, { [GRAPH]: bytes })
    codes.push(await codeOfLoad(page, url))
  }
  expect(codes.filter((code) => !TYPED.includes(code))).toEqual([])
  expect(codes.filter((code) => code !== 'loaded').length).toBeGreaterThan(0)
  expect(await tells(page)).toBe(true)
})

test('weights that are random bits are computed with, or refused; other models are not touched', async ({
  page,
}) => {
  const bytes = await readFile(join(DIST, MODEL.stories1, 'model.onnx.data'))
  const noise = Buffer.alloc(bytes.length, 0x7f) // as floats: 3.4e38, and NaN as halves
  await page.evaluate(async () => (window.client = await window.tabserve.createClient()))
  const url = await serveSpoiled(page, MODEL.stories1, 0, { 'model.onnx.data': noise })
  expect(TYPED).toContain(await codeOfLoad(page, url))
  expect(await tells(page)).toBe(true)
})

test('the tokenizer of another model is bad_model when it names a token that is not there', async ({
  page,
}) => {
  const file = JSON.parse(await readFile(join(DIST, MODEL.stories1, 'tokenizer.json'), 'utf8')) as {
    model: { vocab: Record<string, number> }
  }
  const shifted = Object.entries(file.model.vocab).map(([text, id]) => [
    text,
    id > 300 ? id + 10_000_000 : id,
  ])
  file.model.vocab = Object.fromEntries(shifted) as Record<string, number>
  await page.evaluate(async () => (window.client = await window.tabserve.createClient()))
  const url = await serveSpoiled(page, MODEL.stories1, 0, {
    'tokenizer.json': Buffer.from(JSON.stringify(file)),
  })
  const code = await page.evaluate(async (url) => {
    try {
      const { id } = await window.client.load(url)
      await window.client.generate({ model: id, prompt: 'Once upon a time there was a little girl' })
      return 'answered'
    } catch (error) {
      return (error as { code?: string }).code ?? String(error)
    }
  }, url)
  expect(code).toBe('bad_model')
  expect(await tells(page)).toBe(true)
})

const TEMPLATES: readonly [what: string, template: string, codes: readonly string[]][] = [
  ['asks for a thousand million numbers', '{% for i in range(1000000000) %}x{% endfor %}', ['bad_request']],
  [
    'does not end in a lifetime',
    '{% for i in range(99999) %}{% for j in range(99999) %}{% for k in range(99999) %}{% endfor %}{% endfor %}{% endfor %}',
    ['engine_lost'],
  ],
  [
    'grows without end',
    '{% for i in range(99999) %}{% for j in range(9999) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfor %}',
    ['bad_request', 'engine_lost'],
  ],
]
for (const [what, template, codes] of TEMPLATES) {
  test(`a chat template that ${what} costs its own model one typed error`, async ({ page }) => {
    await page.evaluate(
      async () => (window.client = await window.tabserve.createClient({ hangTimeoutMs: 1000 })),
    )
    const config = JSON.parse(
      await readFile(join(DIST, MODEL.stories1, 'tokenizer_config.json'), 'utf8'),
    ) as object
    const url = await serveSpoiled(page, MODEL.stories1, 0, {
      'tokenizer_config.json': Buffer.from(JSON.stringify({ ...config, chat_template: template })),
    })
    expect(await codeOfLoad(page, url)).toBe('loaded')
    const code = await page.evaluate(async () => {
      try {
        await window.client.generate({ model: 'hostile@0', messages: [{ role: 'user', content: 'hello' }] })
        return 'answered'
      } catch (error) {
        return (error as { code?: string }).code ?? String(error)
      }
    })
    expect(codes).toContain(code)
    expect(await tells(page)).toBe(true)
  })
}

/** A copy of a model's folder with other bytes in some files and hashes that match, as whoever made it would publish it. Returns its address. */
async function serveSpoiled(
  page: Page,
  model: string,
  index: number,
  spoiled: Readonly<Record<string, Uint8Array<ArrayBuffer>>>,
): Promise<string> {
  const manifest = JSON.parse(await readFile(join(DIST, model, 'manifest.json'), 'utf8')) as Manifest
  const files = await Promise.all(
    manifest.files.map(async (file) => {
      const bytes = spoiled[file.path]
      if (bytes === undefined) return file
      const digest = await crypto.subtle.digest('SHA-256', bytes)
      return { ...file, bytes: bytes.length, sha256: Buffer.from(digest).toString('hex') }
    }),
  )
  const url = `/hostile/${index}/`
  await page.context().route(`**${url}**`, (route) => {
    const path = new URL(route.request().url()).pathname.slice(url.length)
    if (path === 'manifest.json')
      return route.fulfill({ json: { ...manifest, name: 'hostile', version: String(index), files } })
    const bytes = spoiled[path]
    return bytes === undefined
      ? route.fulfill({ path: join(DIST, model, path) })
      : route.fulfill({ body: Buffer.from(bytes) })
  })
  return url
}

function codeOfLoad(page: Page, url: string): Promise<string> {
  return page.evaluate(
    (url) =>
      window.client.load(url).then(
        () => 'loaded',
        (error: { code?: string }) => error.code ?? String(error),
      ),
    url,
  )
}

/** An honest model, loaded beside, answers. */
function tells(page: Page): Promise<boolean> {
  return page.evaluate(async (url) => {
    const { id } = await window.client.load(url)
    const { text } = await window.client.generate({ model: id, prompt: 'Once upon a time', maxTokens: 8 })
    return text !== ''
  }, MODEL.stories2)
}
