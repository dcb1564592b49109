import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright/test'
import type { Manifest } from '../../packages/protocol/src/index.ts'
import { MODEL, NO_SHARED, SHARED, expect, hasShared, test } from './fixtures.ts'

test.skip(!hasShared, NO_SHARED)

/** What is found in each export of stories260K, and what runs it. */
const EXPORTS = [
  { model: 'genai-float32', runner: 'heap', form: 'gqa', dtype: 'float32', batched: true },
  { model: 'genai-float16', runner: 'heap', form: 'gqa', dtype: 'float16', batched: true },
  { model: 'optimum-float32', runner: 'public', form: 'concat', dtype: 'float32', batched: true },
  { model: 'optimum-float16', runner: 'public', form: 'concat', dtype: 'float16', batched: true },
  { model: 'optimum-counted', runner: 'public', form: 'concat', dtype: 'float32', batched: false },
] as const

/** Different lengths; the third begins as the first, and so finds it in the cache. */
const PROMPTS = [
  'Once upon a time, there was a little girl named Lily. She loved to play outside',
  'One day, a',
  'Once upon a time, there was a little girl named Lily. She saw',
  'The big dog',
  'Tom and his mom went to the park. They saw a',
]

for (const { model, runner, ...cache } of EXPORTS) {
  test(`${model}: tells the source's story, and several at once tell what each tells alone`, async ({
    page,
  }) => {
    const golden = JSON.parse(await readFile(join(SHARED, 'models/golden/stories260K.json'), 'utf8')) as {
      readonly greedy_ids: readonly number[]
      readonly text: string
    }
    const found = await page.evaluate(
      async ({ url, prompts, length }) => {
        const client = await window.tabserve.createClient({ threads: 1 })
        const { id } = await client.load(url)
        const story = await client.generate({
          model: id,
          promptTokens: [1],
          temperature: 0,
          maxTokens: length,
        })
        const ask = (prompt: string, readPrefixCache: boolean) =>
          client.generate({ model: id, prompt, temperature: 0, maxTokens: 40, readPrefixCache })
        const alone: string[] = []
        for (const prompt of prompts) alone.push((await ask(prompt, false)).text)
        const before = await client.stats(id)
        const together = await Promise.all(prompts.map((prompt) => ask(prompt, true)))
        const after = await client.stats(id)
        return {
          info: await client.describe(id),
          tokens: story.tokens,
          alone,
          together: together.map(({ text }) => text),
          numCached: together.reduce((sum, { usage }) => sum + usage.cachedTokens, 0),
          rowsPerStep:
            (after.generatedTokens - before.generatedTokens) / (after.steps.decode - before.steps.decode),
        }
      },
      { url: MODEL[model], prompts: PROMPTS, length: golden.greedy_ids.length - 1 },
    )
    const { info } = found
    expect(info).toMatchObject({ runner, kvType: cache.dtype, manifest: { graph: { cache } } })
    expect(info.runnerReason).toContain(cache.form === 'gqa' ? 'GroupQueryAttention' : 'Concat')
    expect(info.runnerReason).toContain(cache.batched ? 'batched' : 'one answer at a time')
    expect(found.tokens).toEqual(golden.greedy_ids.slice(1))
    expect(found.together).toEqual(found.alone)
    expect(found.numCached).toBeGreaterThan(20)
    expect(found.rowsPerStep).toBeGreaterThan(2)
  })
}

test('any of several EOS ids ends an answer', async ({ page }) => {
  const load = async (eosTokenIds: readonly number[]) => {
    await changeManifest(page, MODEL['optimum-float32'], (manifest) => ({
      ...manifest,
      tokenizer: { ...manifest.tokenizer, eosTokenIds },
    }))
    return page.evaluate(async (url) => {
      const client = await window.tabserve.createClient({ threads: 1 })
      const { id } = await client.load(url, { refresh: true })
      const request = { model: id, promptTokens: [1], temperature: 0, maxTokens: 60 }
      const { tokens, finishReason } = await client.generate(request)
      const ignored = await client.generate({ ...request, ignoreEos: true })
      client.dispose()
      return { numTokens: tokens.length, finishReason, numIgnored: ignored.tokens.length }
    }, MODEL['optimum-float32'])
  }
  // The greedy story comes to 385 first, then to 391, never to 2.
  const one = await load([2])
  const two = await load([2, 391])
  const three = await load([391, 2, 385])
  expect(one).toMatchObject({ numTokens: 60, finishReason: 'length' })
  expect(two.finishReason).toBe('stop')
  expect(three.finishReason).toBe('stop')
  expect(three.numTokens).toBeLessThan(two.numTokens)
  expect(two).toMatchObject({ numIgnored: 60 })
})

test('a graph that is none of ours is bad_model, says what was found, and leaves the worker usable', async ({
  page,
}) => {
  const url = MODEL['genai-float32']
  const failure = async (runner: 'auto' | 'kernels') =>
    page.evaluate(
      async ({ url, runner, good }) => {
        const client = await window.tabserve.createClient({ threads: 1 })
        const error = await client
          .load(url, { refresh: true, runner })
          .then(() => ({ code: 'none', message: '' }))
          .catch(({ code, message }: { code: string; message: string }) => ({ code, message }))
        const { id } = await client.load(good)
        const { text } = await client.generate({ model: id, prompt: 'Once', maxTokens: 4 })
        client.dispose()
        return { ...error, text }
      },
      { url, runner, good: MODEL.stories2 },
    )
  expect(await failure('kernels')).toMatchObject({ code: 'bad_request', text: expect.stringMatching(/./) })
  await changeManifest(page, url, (manifest) => ({ ...manifest, graph: { ...manifest.graph, layers: 6 } }))
  const found = await failure('auto')
  expect(found).toMatchObject({ code: 'bad_model', text: expect.stringMatching(/./) })
  expect(found.message).toContain('10 caches were found where 6 layers have 12')
})

async function changeManifest(
  page: Page,
  url: string,
  change: (manifest: Manifest) => object,
): Promise<void> {
  await page.unroute(`**${url}manifest.json`)
  await page.route(`**${url}manifest.json`, async (route) => {
    const manifest = (await (await route.fetch()).json()) as Manifest
    await route.fulfill({ json: change(manifest) })
  })
}
