import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { HubFiles, HubServerOptions } from '../../packages/dev/src/hub-server.ts'
import { serveHub } from '../../packages/dev/src/hub-server.ts'
import { expect, test } from './fixtures.ts'

const FIXTURES = join(import.meta.dirname, '../../dist/fixtures/tasks')
const TEXTS = ['the cat sat on a mat', 'paris is far']

/** A repository as optimum exports for transformers.js lie: the graph in `onnx/`, a configuration, a tokenizer; no manifest. */
async function repositoryOf(folder: string, config?: object): Promise<Map<string, Buffer>> {
  const names = ['onnx/model.onnx', 'config.json', 'tokenizer.json', 'tokenizer_config.json']
  const read = names.map(async (name) => [name, await readFile(join(FIXTURES, folder, name))] as const)
  const files = new Map<string, Buffer>(await Promise.all(read))
  if (config !== undefined) files.set('config.json', Buffer.from(JSON.stringify(config)))
  return files
}

for (const hasApi of [true, false])
  test(`a repository of an encoder makes embeddings, ${hasApi ? 'checked by the hub' : 'trusted on first use'}, and needs no network the second time`, async ({
    page,
  }) => {
    const hub = await serveHub({ hasApi })
    hub.publish('Xenova/all-MiniLM-test', await repositoryOf('features'))
    try {
      const embed = () =>
        page.evaluate(
          async ({ baseUrl, input }) => {
            const client = await window.tabserve.createClient({ hub: { baseUrl } })
            const source = { hub: 'Xenova/all-MiniLM-test' }
            const { totalBytes } = await client.models.status(source)
            const { id, manifest, graph } = await client.load(source)
            const vectors = await client.embed({ model: id, input })
            await client.load('/fixtures/tasks/embedder/')
            const direct = await client.embed({ model: 'embedder', input })
            client.dispose()
            const listed = manifest.files.reduce((sum, { bytes }) => sum + bytes, 0)
            const numbers = (found: typeof vectors) => found.map(({ embedding }) => [...embedding])
            return { totalBytes, listed, graph, vectors: numbers(vectors), direct: numbers(direct) }
          },
          { baseUrl: hub.url, input: TEXTS },
        )
      const first = await embed()
      expect(first.graph).toMatchObject({ handler: 'embed', maxBatchSize: 32 })
      expect(first.totalBytes).toBe(first.listed)
      for (const [index, vector] of first.vectors.entries())
        for (const [at, value] of vector.entries())
          expect(value).toBeCloseTo(first.direct[index]?.[at] ?? NaN, 5)
      await page.reload()
      hub.requests.length = 0
      const again = (await embed()).vectors
      for (const [index, vector] of again.entries())
        for (const [at, value] of vector.entries())
          expect(value).toBeCloseTo(first.vectors[index]?.[at] ?? NaN, 5)
      expect(hub.requests).toEqual([])
    } finally {
      await hub.close()
    }
  })

test('pooling that sentence-transformers wrote counts; a classifier has its labels', async ({ page }) => {
  const pooling = Buffer.from(JSON.stringify({ pooling_mode_cls_token: true }))
  const odd = await repositoryOf('features', { architectures: ['SomethingElseModel'] })
  const found = await withRepositories(
    {
      'me/pooled': new Map([...odd, ['1_Pooling/config.json', pooling]]),
      'me/sentiment': await repositoryOf('sentiment'),
    },
    (baseUrl) =>
      page.evaluate(
        async ({ baseUrl, text }) => {
          const client = await window.tabserve.createClient({ hub: { baseUrl } })
          const { id: pooled } = await client.load({ hub: 'me/pooled' })
          const { id: sentiment } = await client.load({ hub: 'me/sentiment' })
          const own = await client.embed({ model: pooled, input: text })
          await client.load('/fixtures/tasks/embedder/')
          const cls = await client.embed({ model: 'embedder', input: text, pooling: 'cls' })
          const labels = await client.classify({ model: sentiment, input: text, topK: 2 })
          client.dispose()
          return { own: [...own.embedding], cls: [...cls.embedding], labels }
        },
        { baseUrl, text: TEXTS[0] ?? '' },
      ),
  )
  for (const [at, value] of found.own.entries()) expect(value).toBeCloseTo(found.cls[at] ?? NaN, 5)
  expect(found.labels.map(({ label }) => label).toSorted()).toEqual(['bad', 'good'])
})

test('a repository that does not tell its task says how it is asked, and a load names the handler', async ({
  page,
}) => {
  const files = await repositoryOf('features', { architectures: ['SomethingElseModel'] })
  const found = await withRepositories({ 'me/odd': files }, (baseUrl) =>
    page.evaluate(
      async ({ baseUrl, input }) => {
        const client = await window.tabserve.createClient({ hub: { baseUrl } })
        const { id: model } = await client.load({ hub: 'me/odd' })
        const refused = await client.embed({ model, input }).then(
          () => undefined,
          ({ code, message }: { code: string; message: string }) => ({ code, message }),
        )
        await client.load({ hub: 'me/odd' }, { handler: 'embed' })
        const { embedding } = await client.embed({ model, input })
        client.dispose()
        return { refused, length: embedding.length }
      },
      { baseUrl, input: TEXTS[0] ?? '' },
    ),
  )
  expect(found.refused?.code).toBe('bad_request')
  expect(found.refused?.message).toContain('`handler`')
  expect(found.length).toBe(32)
})

for (const [name, hasApi] of [
  ['whisper', true],
  ['moonshine', false],
] as const)
  test(`a repository of a ${name} hears, ${hasApi ? 'checked by the hub' : 'trusted on first use'}: encoder and merged decoder are of one dtype, and the rest is as its files say`, async ({
    page,
  }) => {
    const repositories = { [`me/${name}`]: await speechRepository(name) }
    const hear = (baseUrl: string) =>
      page.evaluate(
        async ({ baseUrl, name, samples }) => {
          const client = await window.tabserve.createClient({ hub: { baseUrl } })
          const source = { hub: `me/${name}` }
          const { totalBytes, hub } = await client.models.status(source)
          const { id: model, manifest, graph } = await client.load(source)
          const input = Float32Array.from(samples)
          const heard = await client.transcribe({ model, input })
          const { id: folder } = await client.load(`/fixtures/tasks/${name}/`)
          const direct = await client.transcribe({ model: folder, input })
          const refused = await client.load({ ...source, dtype: 'q4' }).then(
            () => undefined,
            ({ code, message }: { code: string; message: string }) => ({ code, message }),
          )
          client.dispose()
          const listed = manifest.files.reduce((sum, { bytes }) => sum + bytes, 0)
          return { totalBytes, listed, hub, handler: graph?.handler, heard, direct, refused }
        },
        { baseUrl, name, samples: Array.from({ length: 4000 }, (_, at) => Math.sin(at * at * 0.001)) },
      )
    const found = await withRepositories(repositories, hear, { hasApi })
    expect(found.heard.tokens.length).toBeGreaterThan(1)
    expect(found.heard).toEqual(found.direct)
    expect(found.handler).toBe('transcribe')
    expect(found.totalBytes).toBe(found.listed)
    // Of q8 it has one half only.
    expect(found.hub?.choices.map(({ dtype }) => dtype)).toEqual(['fp32'])
    expect(found.refused).toMatchObject({ code: 'bad_model', message: expect.stringContaining('fp32') })
  })

/** As optimum exports a speech recognizer for transformers.js. */
async function speechRepository(folder: string): Promise<Map<string, Buffer>> {
  const places = {
    'main.onnx': 'onnx/encoder_model.onnx',
    'decoder.onnx': 'onnx/decoder_model_merged.onnx',
  } as Readonly<Record<string, string>>
  const names = (await readdir(join(FIXTURES, folder))).filter((name) => name !== 'manifest.json')
  const read = names.map(
    async (name) => [places[name] ?? name, await readFile(join(FIXTURES, folder, name))] as const,
  )
  const files = new Map(await Promise.all(read))
  return files.set('onnx/encoder_model_quantized.onnx', Buffer.from('without a decoder'))
}

async function withRepositories<T>(
  repositories: Readonly<Record<string, HubFiles>>,
  use: (baseUrl: string) => Promise<T>,
  options: HubServerOptions = {},
): Promise<T> {
  const hub = await serveHub(options)
  for (const [name, files] of Object.entries(repositories)) hub.publish(name, files)
  try {
    return await use(hub.url)
  } finally {
    await hub.close()
  }
}
