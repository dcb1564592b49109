import { existsSync } from 'node:fs'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright/test'
import type { HubFiles, HubServer, HubServerOptions } from '../../packages/dev/src/hub-server.ts'
import { serveHub } from '../../packages/dev/src/hub-server.ts'
import type { HubSourceRequest } from '../../packages/protocol/src/index.ts'
import { hubAddress } from '../../packages/protocol/src/index.ts'
import { REPOSITORY, foreignHubFiles, hubFiles } from '../hub-files.ts'
import { MODEL, expect, hasShared, test } from './fixtures.ts'

const SITE = join(import.meta.dirname, '../../dist')

/** Stories260K as `convert` writes it, in three forms; of a clone without it, the bundled model in two. */
const EXPORTS: Readonly<Record<string, string>> = hasShared
  ? { '': MODEL.fp32, _quantized: MODEL.int8, _q4: MODEL.q4 }
  : { '': MODEL.stories2, _quantized: MODEL.stories1 }

let files: HubFiles = new Map()
test.beforeAll(async () => {
  const folders = Object.entries(EXPORTS).map(([ending, path]) => [ending, join(SITE, path)])
  files = await hubFiles(Object.fromEntries(folders) as Record<string, string>, [''])
})

test('a repository with a model folder tells what the folder tells, and needs no network the second time', async ({
  page,
}) => {
  await withHub({ files: await folderFiles(join(SITE, MODEL.stories1)) }, async (hub) => {
    const direct = await story(page, hub, MODEL.stories1)
    const first = await story(page, hub, { hub: REPOSITORY })
    expect(first.text).toBe(direct.text)
    expect(first.url).toBe(hubAddress({ hub: REPOSITORY, baseUrl: hub.url }))
    await page.reload()
    hub.requests.length = 0
    expect(await story(page, hub, { hub: REPOSITORY })).toEqual(first)
    expect(await story(page, hub, first.url)).toEqual(first)
    expect(hub.requests).toEqual([])
  })
})

for (const [exporter, hasApi] of [
  ['optimum-float32', true],
  ['genai-float32', false],
] as const) {
  const folder = join(SITE, 'fixtures', exporter)
  test(`a repository of ${exporter.split('-')[0]}'s graphs tells what the checkpoint tells, and needs no network the second time`, async ({
    page,
  }) => {
    test.skip(!existsSync(folder), `${folder} is not here`)
    await withHub({ files: await foreignHubFiles(folder), hasApi }, async (hub) => {
      const checkpoint = await story(page, hub, MODEL.fp32)
      const first = await story(page, hub, { hub: REPOSITORY })
      expect(first.text).toBe(checkpoint.text)
      await page.reload()
      hub.requests.length = 0
      expect(await story(page, hub, { hub: REPOSITORY })).toEqual(first)
      expect(hub.requests).toEqual([])
    })
  })
}

test('a repository says its sizes, is prefetched, needs no network then, and is listed, verified, pinned, evicted and removed', async ({
  page,
}) => {
  await withHub({}, async (hub) => {
    const before = await ask(page, hub, (from) => window.client.models.status(from))
    expect(before).toMatchObject({ state: 'absent', storedBytes: 0, hub: { dtype: 'q8', trust: 'hub' } })
    expect(before.totalBytes).toBe(sizeOf(/_quantized\.onnx(_data)?$|^tokenizer(_config)?\.json$/))
    const prefetched = await ask(page, hub, (from) => window.client.models.prefetch(from))
    expect(prefetched).toMatchObject({ state: 'stored', id: before.id, totalBytes: before.totalBytes })
    await page.reload()
    hub.requests.length = 0
    const kept = await ask(page, hub, async (from) => {
      const { models } = window.client
      const again = await models.prefetch(from)
      await models.pin(from)
      const refused = await models.evict(from).catch(({ code }: { code: string }) => code)
      const listed = await models.list()
      const verified = await models.verify(from)
      await models.unpin(from)
      await models.evict(from)
      const evicted = await models.status(from)
      await models.remove(from)
      return { again, refused, listed, verified, evicted, left: await models.list() }
    })
    expect(hub.requests).toEqual([])
    expect(kept).toMatchObject({
      again: { state: 'stored', missingBytes: 0 },
      refused: 'bad_request',
      listed: [{ url: prefetched.url, isPinned: true, hub: { dtype: 'q8', commit: prefetched.hub?.commit } }],
      verified: { isRight: true, damaged: [], checkedBytes: before.totalBytes },
      evicted: { state: 'absent', totalBytes: before.totalBytes },
      left: [],
    })
  })
})

test('a dtype is chosen by its name, and one that is not there is one error that lists the others', async ({
  page,
}) => {
  await withHub({}, async (hub) => {
    const stored = await ask(page, hub, (from) => window.client.models.prefetch({ ...from, dtype: 'fp32' }))
    expect(stored).toMatchObject({ state: 'stored', hub: { dtype: 'fp32', dtypeReason: 'it was asked for' } })
    expect(stored.totalBytes).toBe(sizeOf(/model\.onnx(_data(_1)?)?$|^tokenizer(_config)?\.json$/))
    const failure = await failureOf(page, hub, { hub: REPOSITORY, dtype: 'bnb4' })
    expect(failure).toMatchObject({ code: 'bad_model' })
    expect(failure.message).toMatch(
      /no weights of dtype bnb4\. It has: q8 \([\d.]+ MB\), .*fp32 \([\d.]+ MB\)/,
    )
  })
})

test('a gated repository wants a token, which browsers do not carry to the server of large files, and which is kept nowhere', async ({
  page,
}) => {
  const token = 'hf_secret'
  await withHub({ token }, async (hub) => {
    const refused = await failureOf(page, hub)
    expect(refused).toMatchObject({ code: 'access_denied' })
    hub.requests.length = 0
    const stored = await ask(page, hub, (from) =>
      window.client.models.prefetch({ ...from, token: 'hf_secret' }),
    )
    expect(stored.state).toBe('stored')
    const [large, small] = [true, false].map((isLarge) =>
      hub.requests.filter(({ isCdn }) => isCdn === isLarge),
    )
    expect(new Set(small?.map(({ authorization }) => authorization))).toEqual(new Set([`Bearer ${token}`]))
    expect(new Set(large?.map(({ authorization }) => authorization))).toEqual(new Set([undefined]))
    expect(await storedText(page)).not.toContain(token)
  })
})

test('the token of a client goes to its own hub, and to no other one', async ({ page }) => {
  await withHub({ token: 'hf_secret' }, (own) =>
    withHub({}, async (other) => {
      const urls = { baseUrl: own.url, other: other.url, hub: REPOSITORY, token: 'hf_secret' }
      const states = await page.evaluate(async ({ baseUrl, token, hub, other }) => {
        window.client = await window.tabserve.createClient({ hub: { baseUrl, token } })
        const { models } = window.client
        return [
          (await models.status({ hub })).state,
          (await models.status({ hub, baseUrl: other })).state,
          (await models.status(models.addressOf({ hub }))).state,
        ]
      }, urls)
      expect(states).toEqual(['absent', 'absent', 'absent'])
      expect(other.requests.length).toBeGreaterThan(0)
      expect(other.requests.every(({ authorization }) => authorization === undefined)).toBe(true)
    }),
  )
})

const BAD: readonly (readonly [what: string, code: string, misbehave: HubServerOptions['misbehave']])[] = [
  [
    'a web page in place of the weights',
    'network',
    ({ isCdn, response }) =>
      isCdn && (response.setHeader('content-type', 'text/html').end('<p>Log in'), true),
  ],
  ['weights of another size', 'integrity', ({ isCdn, response }) => isCdn && (response.end('short'), true)],
  [
    'a tokenizer of another hash',
    'integrity',
    ({ path, response }) => path.endsWith('/tokenizer.json') && (response.end('{}'), true),
  ],
]

for (const [what, code, misbehave] of BAD) {
  test(`${what} is one ${code} error, nothing of it is kept, and the next one works`, async ({ page }) => {
    let isBad = true
    const options = {
      misbehave: (asked: Parameters<NonNullable<typeof misbehave>>[0]) => isBad && misbehave!(asked),
    }
    await withHub(options, async (hub) => {
      const failure = await failureOf(page, hub)
      expect(failure).toMatchObject({ code })
      expect(await storedText(page)).not.toContain('"model hf')
      isBad = false
      const stored = await ask(page, hub, (from) => window.client.models.prefetch(from))
      expect(stored.state).toBe('stored')
    })
  })
}

test('a redirect to an origin that is not allowed brings nothing', async ({ page }) => {
  await withHub({}, async (hub) => {
    const allowedOrigins = [new URL(hub.url).origin]
    const failure = await failureOf(page, hub, { hub: REPOSITORY }, allowedOrigins)
    expect(failure).toMatchObject({ code: 'bad_request' })
    expect(failure.message).toContain(new URL(hub.cdnUrl).origin)
    expect(await storedText(page)).not.toContain('"model hf')
  })
})

for (const isFolder of [false, true]) {
  test(`${isFolder ? 'a folder' : 'a mirror'} without an API is trusted on first use, and needs no network then`, async ({
    page,
  }) => {
    await withHub({ hasApi: false, isFolder }, async (hub) => {
      const stored = await ask(page, hub, (from) => window.client.models.prefetch(from))
      expect(stored).toMatchObject({ state: 'stored', hub: { dtype: 'q8', trust: 'first-use' } })
      await page.reload()
      hub.requests.length = 0
      const kept = await ask(page, hub, async (from) => ({
        again: await window.client.models.prefetch(from),
        verified: await window.client.models.verify(from),
      }))
      expect(kept).toMatchObject({ again: { state: 'stored' }, verified: { isRight: true } })
      expect(hub.requests).toEqual([])
    })
  })
}

test('what can be no repository is refused before any request, and a secret is not repeated', async ({
  page,
}) => {
  await withHub({}, async (hub) => {
    const wrong: readonly object[] = [
      { hub: 'stories' },
      { hub: 'a/../b' },
      { hub: REPOSITORY, dtype: 'q5' },
      { hub: REPOSITORY, revision: '../main' },
      { hub: REPOSITORY, branch: 'main' },
      { hub: REPOSITORY, token: 'secret\nx: y' },
      { hub: REPOSITORY, baseUrl: 'https://me:secret@models.example/' },
    ]
    for (const from of wrong) {
      const failure = await failureOf(page, hub, from as HubSourceRequest)
      expect(failure, JSON.stringify(from)).toMatchObject({ code: 'bad_request' })
      expect(failure.message).not.toContain('secret')
    }
    expect(hub.requests).toEqual([])
  })
})

async function withHub(
  { files: published = files, ...options }: HubServerOptions & { readonly files?: HubFiles },
  use: (hub: HubServer) => Promise<void>,
): Promise<void> {
  const hub = await serveHub(options)
  hub.publish(REPOSITORY, published)
  try {
    await use(hub)
  } finally {
    await hub.close()
  }
}

/** Runs in the page, with a client whose repositories come from `hub`. */
async function ask<T>(page: Page, hub: HubServer, work: (from: HubSourceRequest) => Promise<T>): Promise<T> {
  await openClient(page, hub)
  return page.evaluate(work as (from: unknown) => Promise<T>, { hub: REPOSITORY })
}

async function openClient(page: Page, hub: HubServer, allowedOrigins?: readonly string[]): Promise<void> {
  await page.evaluate(
    async ({ baseUrl, storage }) => {
      window.client ??= await window.tabserve.createClient({ hub: { baseUrl }, storage })
    },
    { baseUrl: hub.url, storage: allowedOrigins === undefined ? {} : { allowedOrigins } },
  )
}

async function failureOf(
  page: Page,
  hub: HubServer,
  from: HubSourceRequest = { hub: REPOSITORY },
  allowedOrigins?: readonly string[],
) {
  await openClient(page, hub, allowedOrigins)
  return page.evaluate(
    (from) =>
      window.client.models.prefetch(from).then(
        () => ({ code: 'stored', message: '' }),
        ({ code, message }: { code: string; message: string }) => ({ code, message }),
      ),
    from,
  )
}

async function story(page: Page, hub: HubServer, source: string | HubSourceRequest) {
  await openClient(page, hub)
  return page.evaluate(async (source) => {
    const { id, url } = await window.client.load(source)
    const options = { prompt: 'Once upon a time', temperature: 0, maxTokens: 20 }
    const { text } = await window.client.generate({ model: id, ...options })
    return { id, url, text }
  }, source)
}

async function folderFiles(folder: string): Promise<HubFiles> {
  const names = await readdir(folder)
  return new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)),
  )
}

function sizeOf(paths: RegExp): number {
  return [...files].reduce((sum, [path, bytes]) => sum + (paths.test(path) ? bytes.length : 0), 0)
}

/** Keys and small values of the weight store. */
function storedText(page: Page): Promise<string> {
  return page.evaluate(
    () =>
      new Promise<string>((resolve, reject) => {
        const opening = indexedDB.open('tabserve-weights')
        opening.onerror = () => reject(new Error('no database'))
        opening.onsuccess = () => {
          const names = opening.result.objectStoreNames
          if (!names.contains('weights')) return resolve('')
          const store = opening.result.transaction('weights').objectStore('weights')
          const [keys, values] = [store.getAllKeys(), store.getAll()]
          values.onsuccess = () => resolve(JSON.stringify([keys.result, values.result]))
        }
      }),
  )
}
