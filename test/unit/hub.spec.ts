import { createHash } from 'node:crypto'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import type { HubFiles, HubServer, HubServerOptions } from '../../packages/dev/src/hub-server.ts'
import { serveHub } from '../../packages/dev/src/hub-server.ts'
import type { GenerateManifest, HubSourceRequest, LoadProgress } from '../../packages/protocol/src/index.ts'
import { hubAddress } from '../../packages/protocol/src/index.ts'
import { Http } from '../../packages/runtime/src/models/http.ts'
import { ModelRepository } from '../../packages/runtime/src/models/repository.ts'
import type { ChunkStore } from '../../packages/runtime/src/storage/chunk-store.ts'
import { memoryChunkStore } from '../../packages/runtime/src/storage/memory-chunk-store.ts'
import { WeightStore } from '../../packages/runtime/src/storage/weight-store.ts'
import { REPOSITORY, hubFiles, withFile, withoutFiles } from '../hub-files.ts'

const STORIES = join(import.meta.dirname, '../../models/stories')
const CHUNK = 2 ** 18
const FAST = { retries: 2, baseMs: 5, maxMs: 2000 }
const Q8 = 'onnx/model_quantized.onnx'

let files: HubFiles = new Map()
test.beforeAll(async () => {
  files = await hubFiles({ '': join(STORIES, 'v2'), _quantized: join(STORIES, 'v1') }, [''])
})

test('a repository is prefetched, listed, verified, pinned, evicted and removed, with its sizes before', async () => {
  await withHub({}, async (hub, from) => {
    const repository = repositoryOn(memoryChunkStore())
    const before = await repository.status(from)
    const totalBytes = sizeOf(Q8, `${Q8}_data`, 'tokenizer.json', 'tokenizer_config.json')
    expect(before).toMatchObject({ state: 'absent', totalBytes, missingBytes: totalBytes, storedBytes: 0 })
    expect(before.hub).toMatchObject({
      dtype: 'q8',
      trust: 'hub',
      choices: [
        { dtype: 'q8', bytes: sizeOf(Q8, `${Q8}_data`) },
        { dtype: 'fp32', bytes: sizeOf('onnx/model.onnx', 'onnx/model.onnx_data', 'onnx/model.onnx_data_1') },
      ],
    })
    expect(hub.requests.every(({ isCdn }) => !isCdn)).toBe(true)
    expect(await repository.prefetch(from, QUIET)).toMatchObject({
      state: 'stored',
      totalBytes,
      id: before.id,
    })
    const url = hubAddress(from)
    expect(await repository.list()).toMatchObject([{ url, state: 'stored', hub: { dtype: 'q8' } }])
    expect(await repository.verify(url)).toEqual({ isRight: true, checkedBytes: totalBytes, damaged: [] })
    await repository.setPinned(url, true)
    await expect(repository.evict(url)).rejects.toMatchObject({ code: 'bad_request' })
    await repository.setPinned(url, false)
    await repository.evict(url)
    expect(await repository.status({ url })).toMatchObject({ state: 'absent', totalBytes })
    await repository.clear(url)
    expect(await repository.list()).toEqual([])
  })
})

test('what a repository holds becomes the manifest of one commit', async () => {
  await withHub({}, async (hub, from) => {
    const commit = hub.publish(REPOSITORY, withFile(files, 'chat_template.jinja', '{{ messages }}'))
    const { manifest } = await bring(repositoryOn(memoryChunkStore()), from)
    const stories = JSON.parse(await readFile(join(STORIES, 'v1/manifest.json'), 'utf8')) as GenerateManifest
    const { layers, heads, kvHeads, headDim, hiddenSize, vocabSize, contextLength } = stories.graph
    expect(manifest).toMatchObject({
      name: 'stories-ONNX',
      version: `${commit.slice(0, 12)}-q8`,
      graph: {
        kind: 'decoder-onnx',
        architecture: 'llama',
        file: Q8,
        externalData: [`${Q8}_data`],
        ...{ layers, heads, kvHeads, headDim, hiddenSize, vocabSize, contextLength },
      },
      tokenizer: { ...stories.tokenizer, chatTemplate: 'chat_template.jinja' },
      source: {
        hub: REPOSITORY,
        revision: 'main',
        commit,
        folder: `${hub.url}${REPOSITORY}/resolve/${commit}/`,
      },
    })
    expect(Math.abs(Number(manifest.parameters) / stories.parameters - 1)).toBeLessThan(0.01)
    for (const { path, bytes, sha256 } of manifest.files) {
      const content = path === 'chat_template.jinja' ? Buffer.from('{{ messages }}') : fileOf(path)
      expect({ bytes, sha256 }).toEqual({ bytes: content.length, sha256: sha256Of(content) })
    }
  })
})

test('the second load asks nobody, under its name and under its address', async () => {
  await withHub({}, async (hub, from) => {
    const repository = repositoryOn(memoryChunkStore())
    await bring(repository, from)
    hub.requests.length = 0
    await bring(repository, from)
    await bring(repository, { url: hubAddress(from) })
    expect(hub.requests).toEqual([])
  })
})

test('a listing of many pages is read to its end', async () => {
  await withHub({ pageSize: 2 }, async (hub, from) => {
    const { manifest } = await bring(repositoryOn(memoryChunkStore()), { ...from, dtype: 'fp32' })
    expect(manifest.graph.externalData).toEqual(['onnx/model.onnx_data', 'onnx/model.onnx_data_1'])
    expect(hub.requests.filter(({ path }) => path.includes('/tree/')).length).toBeGreaterThan(4)
  })
})

test('a listing whose pages are said to be at another origin is read at its own', async () => {
  const misbehave: HubServerOptions['misbehave'] = ({ response }) => {
    const set = response.setHeader.bind(response)
    const elsewhere = (value: unknown) => String(value).replace(/http:\/\/[^/]+/, 'https://models.example')
    response.setHeader = (name, value) => set(name, name === 'link' ? elsewhere(value) : value)
    return false
  }
  await withHub({ pageSize: 2, misbehave }, async (hub, from) => {
    const { manifest } = await bring(repositoryOn(memoryChunkStore()), from)
    expect(manifest.files.length).toBe(4)
    expect(hub.requests.filter(({ path }) => path.includes('/tree/')).length).toBeGreaterThan(4)
  })
})

test('a dtype that is not there is one error that lists the others with their sizes', async () => {
  await withHub({}, async (_, from) => {
    const failure = await failureOf(bring(repositoryOn(memoryChunkStore()), { ...from, dtype: 'q4f16' }))
    expect(failure).toMatchObject({ code: 'bad_model' })
    expect(failure.message).toMatch(/no weights of dtype q4f16. It has: q8 \(1\.2 MB\), fp32 \(3\.4 MB\)/)
  })
})

for (const [form, path] of [
  ['safetensors', 'model.safetensors'],
  ['gguf', 'model-q4_0.gguf'],
] as const) {
  test(`a repository that has only ${form} is one error that says to convert it`, async () => {
    const others = withFile(withoutFiles(files, /^onnx\//), path, 'weights')
    await withHub({ files: others }, async (_, from) => {
      const failure = await failureOf(bring(repositoryOn(memoryChunkStore()), from))
      expect(failure).toMatchObject({ code: 'bad_model' })
      expect(failure.message).toContain(`weights as ${form} only`)
      expect(failure.message).toContain('convert')
    })
  })
}

test('a repository that is not there is model_not_found', async () => {
  await withHub({}, async (_, from) => {
    const missing = { ...from, hub: 'onnx-community/nothing' }
    await expect(bring(repositoryOn(memoryChunkStore()), missing)).rejects.toMatchObject({
      code: 'model_not_found',
    })
    const revision = { ...from, revision: 'v9' }
    await expect(bring(repositoryOn(memoryChunkStore()), revision)).rejects.toMatchObject({
      code: 'model_not_found',
    })
  })
})

test('a private repository wants a token, which goes to the hub alone and is kept nowhere', async () => {
  const token = 'hf_secret'
  await withHub({ token }, async (hub, from) => {
    const chunks = memoryChunkStore()
    const repository = repositoryOn(chunks)
    const refused = await failureOf(bring(repository, from))
    expect(refused).toMatchObject({ code: 'access_denied' })
    expect(refused.message).toContain('give a `token`')
    const wrong = await failureOf(bring(repository, { ...from, token: 'hf_wrong' }))
    expect(wrong).toMatchObject({ code: 'access_denied' })
    expect(wrong.message).toContain('token was not accepted')
    expect(everythingOf(wrong)).not.toContain('hf_wrong')
    hub.requests.length = 0
    expect((await bring(repository, { ...from, token })).manifest.source?.trust).toBe('hub')
    const large = hub.requests.filter(({ isCdn }) => isCdn)
    expect(large.length).toBeGreaterThan(0)
    expect(large.every(({ authorization }) => authorization === undefined)).toBe(true)
    const entries = await Promise.all((await chunks.entryKeys()).map((key) => chunks.readEntry(key)))
    expect(JSON.stringify([await chunks.entryKeys(), entries])).not.toContain(token)
  })
})

test('an origin that is not allowed is refused before any request, and a redirect to one before any byte', async () => {
  await withHub({}, async (hub, from) => {
    const elsewhere = repositoryOn(memoryChunkStore(), { allowedOrigins: ['https://models.example'] })
    await expect(bring(elsewhere, from)).rejects.toMatchObject({ code: 'bad_request' })
    expect(hub.requests).toEqual([])
    const chunks = memoryChunkStore()
    const hubOnly = repositoryOn(chunks, { allowedOrigins: [new URL(hub.url).origin] })
    const failure = await failureOf(bring(hubOnly, from))
    expect(failure).toMatchObject({ code: 'bad_request' })
    expect(failure.message).toContain(new URL(hub.cdnUrl).origin)
    expect((await chunks.entryKeys()).filter((key) => key.startsWith('model '))).toEqual([])
    const both = repositoryOn(memoryChunkStore(), {
      allowedOrigins: [hub.url, hub.cdnUrl].map((url) => new URL(url).origin),
    })
    await bring(both, from)
  })
})

const BAD: readonly (readonly [what: string, code: string, options: HubServerOptions])[] = [
  ['a large file of another content', 'integrity', answering(`^/[0-9a-f]{64}$`, (bytes) => flipped(bytes))],
  ['a large file that is shorter', 'integrity', answering(`^/[0-9a-f]{64}$`, (bytes) => bytes.subarray(9))],
  ['a tokenizer of another content', 'integrity', answering('/tokenizer.json$', (bytes) => flipped(bytes))],
  [
    'a tokenizer that is longer',
    'integrity',
    answering('/tokenizer.json$', (bytes) => Buffer.concat([bytes, bytes])),
  ],
  ['a page in place of a large file', 'network', { misbehave: page(/^\/[0-9a-f]{64}$/) }],
  ['a page in place of a small file', 'model_not_found', { misbehave: page(/\/config\.json$/) }],
  ['an API that is broken', 'network', { misbehave: failing(/\/api\//) }],
  ['an API that lists no files', 'network', { misbehave: page(/\/tree\//) }],
  [
    'a configuration of something else',
    'bad_model',
    answering('/config.json$', () => Buffer.from('{}'), true),
  ],
]

for (const [what, code, options] of BAD) {
  test(`${what} is one ${code} error, and nothing is kept`, async () => {
    await withHub(options, async (_, from) => {
      const chunks = memoryChunkStore()
      await expect(bring(repositoryOn(chunks), from)).rejects.toMatchObject({ code })
      expect((await chunks.entryKeys()).filter((key) => key.startsWith('model '))).toEqual([])
      if (code !== 'network') expect(await chunks.chunkKeys()).toEqual([])
    })
  })
}

test('refresh looks for a newer commit, and what both have is brought and kept once', async () => {
  await withHub({}, async (hub, from) => {
    const repository = repositoryOn(memoryChunkStore())
    const first = await bring(repository, from)
    hub.requests.length = 0
    await bring(repository, from, { refresh: true })
    expect(hub.requests.map(({ path }) => path.split('/')[5])).toEqual(['revision', 'tree'])

    const commit = hub.publish(REPOSITORY, withFile(files, Q8, flipped(fileOf(Q8))))
    expect((await bring(repository, from)).manifest.version).toBe(first.manifest.version)
    hub.requests.length = 0
    const second = await bring(repository, from, { refresh: true })
    expect(second.manifest.version).toBe(`${commit.slice(0, 12)}-q8`)
    expect(hub.requests.filter(({ isCdn }) => isCdn).length).toBe(1)
    expect((await repository.storage()).usedBytes).toBe(
      sizeOf(Q8, `${Q8}_data`, 'tokenizer.json', 'tokenizer_config.json'),
    )
    const old = { ...from, revision: first.manifest.source?.commit ?? '' }
    expect((await bring(repository, old)).manifest.version).toBe(first.manifest.version)
    expect((await repository.storage()).usedBytes).toBe(
      sizeOf(Q8, Q8, `${Q8}_data`, 'tokenizer.json', 'tokenizer_config.json'),
    )
  })
})

test('a rotten piece of an older commit comes from that commit', async () => {
  await withHub({}, async (hub, from) => {
    const chunks = memoryChunkStore()
    await bring(repositoryOn(chunks), from)
    hub.publish(REPOSITORY, withFile(files, `${Q8}_data`, flipped(fileOf(`${Q8}_data`))))
    const key = (await chunks.chunkKeys()).find((key) => key.startsWith(sha256Of(fileOf(`${Q8}_data`)))) ?? ''
    await chunks.write({ chunks: [[key, new Uint8Array(CHUNK)]] })
    hub.requests.length = 0
    await bring(repositoryOn(chunks), from)
    expect(hub.requests.map(({ isCdn }) => isCdn)).toEqual([false, true])
  })
})

test('a repository that holds a model folder of ours is loaded as one', async () => {
  const folder = join(STORIES, 'v1')
  const names = await readdir(folder)
  const own = new Map(
    await Promise.all(names.map(async (name) => [name, await readFile(join(folder, name))] as const)),
  )
  await withHub({ files: own }, async (_, from) => {
    const repository = repositoryOn(memoryChunkStore())
    expect(await repository.status(from)).toMatchObject({ id: 'stories@1', state: 'absent' })
    const { manifest } = await bring(repository, from)
    expect(manifest).toMatchObject({ graph: { kind: 'decoder-gqa' }, source: { trust: 'manifest' } })
    await expect(bring(repository, { ...from, dtype: 'q4' })).rejects.toMatchObject({ code: 'bad_request' })
  })
})

for (const layout of ['a plain mirror', 'a static folder'] as const) {
  const options = { hasApi: false, isFolder: layout === 'a static folder' }
  test(`${layout} without an API is trusted on first use, and held to that`, async () => {
    await withHub(options, async (hub, from) => {
      const chunks = memoryChunkStore()
      const repository = repositoryOn(chunks)
      const q8 = { ...from, dtype: 'q8' } as const
      const totalBytes = sizeOf(Q8, `${Q8}_data`, 'tokenizer.json', 'tokenizer_config.json')
      expect(await repository.status(q8)).toMatchObject({
        state: 'absent',
        totalBytes,
        hub: { trust: 'first-use' },
      })
      const first = await bring(repository, q8)
      expect(first.manifest.source?.trust).toBe('first-use')
      expect(first.report.networkBytes).toBe(totalBytes)
      for (const { path, sha256 } of first.manifest.files) expect(sha256).toBe(sha256Of(fileOf(path)))
      hub.requests.length = 0
      // Also after a restart, which clears up what nobody knows of.
      expect((await bring(repositoryOn(chunks), q8)).report).toMatchObject({
        networkBytes: 0,
        storedBytes: totalBytes,
      })
      expect(await repository.verify(hubAddress(q8))).toMatchObject({
        isRight: true,
        checkedBytes: totalBytes,
      })
      expect(hub.requests).toEqual([])

      await bring(repository, q8, { refresh: true })
      expect(
        hub.requests.filter(({ method, path }) => method === 'GET' && /\.onnx|[0-9a-f]{64}/.test(path)),
      ).toEqual([])

      await repository.evict(hubAddress(q8))
      await bring(repository, q8)
      await repository.evict(hubAddress(q8))
      hub.publish(REPOSITORY, withFile(files, `${Q8}_data`, flipped(fileOf(`${Q8}_data`))))
      await expect(bring(repository, q8)).rejects.toMatchObject({ code: 'integrity' })
      await bring(repository, q8, { refresh: true })
    })
  })
}

for (const hasChanged of [false, true]) {
  const what = hasChanged ? 'begins again where the file has changed' : 'goes on'
  test(`without an API a first download that was stopped ${what}`, async () => {
    let left = Infinity
    const misbehave: HubServerOptions['misbehave'] = ({ isCdn, response }) => {
      if (!isCdn || left-- > 0) return false
      response.destroy()
      return true
    }
    await withHub({ hasApi: false, misbehave }, async (hub, from) => {
      const chunks = memoryChunkStore()
      left = 9 // asks for two sizes, the graph, its size again, and two pieces of the weights, the second in four parts
      await expect(bring(repositoryOn(chunks), from)).rejects.toMatchObject({ code: 'network' })
      expect(await repositoryOn(chunks).list()).toMatchObject([{ state: 'partial' }])
      left = Infinity
      const data = hasChanged ? flipped(fileOf(`${Q8}_data`)) : fileOf(`${Q8}_data`)
      hub.publish(REPOSITORY, withFile(files, `${Q8}_data`, data))
      const { report, manifest } = await bring(repositoryOn(chunks), from)
      const brought = report.networkBytes - sizeOf('tokenizer.json', 'tokenizer_config.json')
      expect(brought).toBe(data.length - (hasChanged ? 0 : 2 * CHUNK))
      const listed = manifest.files.find(({ path }) => path === `${Q8}_data`)
      expect(listed?.sha256).toBe(sha256Of(data))
      expect((await bring(repositoryOn(chunks), from)).report.networkBytes).toBe(0)
    })
  })
}

test('without an API a file that changes on its way is one integrity error', async () => {
  let server: HubServer | undefined
  let isChanged = false
  const misbehave = ({ isCdn, method }: { isCdn: boolean; method: string }) => {
    if (!isCdn || method !== 'GET' || isChanged) return false
    isChanged = true
    server?.publish(REPOSITORY, withFile(files, Q8, flipped(fileOf(Q8))))
    return false
  }
  await withHub({ hasApi: false, misbehave }, async (hub, from) => {
    server = hub
    const chunks = memoryChunkStore()
    await expect(bring(repositoryOn(chunks), from)).rejects.toMatchObject({ code: 'integrity', file: Q8 })
    expect((await chunks.entryKeys()).filter((key) => key.startsWith('model '))).toEqual([])
    await bring(repositoryOn(chunks), from)
  })
})

test('without an API and without room, a model runs and is checked all the same', async () => {
  await withHub({ hasApi: false }, async (_, from) => {
    const progress: LoadProgress[] = []
    const chunks = memoryChunkStore()
    const repository = repositoryOn(chunks, {}, 1000)
    const { manifest } = await bring(repository, from, { onProgress: (event) => progress.push(event) })
    for (const { path, sha256 } of manifest.files) expect(sha256).toBe(sha256Of(fileOf(path)))
    expect(progress.filter(({ phase }) => phase === 'not-stored')).toMatchObject([
      { warning: { reason: 'budget' } },
    ])
    expect(await chunks.chunkKeys()).toEqual([])
  })
})

const QUIET = { signal: new AbortController().signal, onProgress: () => {} }

async function withHub(
  { files: published = files, ...options }: HubServerOptions & { readonly files?: HubFiles },
  use: (hub: HubServer, from: HubSourceRequest) => Promise<void>,
): Promise<void> {
  const hub = await serveHub(options)
  hub.publish(REPOSITORY, published)
  try {
    await use(hub, { hub: REPOSITORY, baseUrl: hub.url })
  } finally {
    await hub.close()
  }
}

function repositoryOn(
  chunks: ChunkStore,
  http: ConstructorParameters<typeof Http>[0] = {},
  budgetBytes = Infinity,
): ModelRepository {
  const store = new WeightStore(chunks, { chunkBytes: CHUNK, budgetBytes })
  return new ModelRepository({ store, http: new Http({ stallMs: 2000, ...http }), retries: FAST })
}

/** Opens a model, reads its weights and finishes, as a load does. */
async function bring(
  repository: ModelRepository,
  from: HubSourceRequest | { readonly url: string },
  options: { readonly refresh?: boolean; readonly onProgress?: (event: LoadProgress) => void } = {},
) {
  const opened = await repository.open(from, { ...QUIET, refresh: false, ...options })
  const { graph } = opened.manifest
  for (const path of [graph.file, ...[graph.externalData ?? []].flat()]) {
    const bytes = await opened.files.bytes(path)
    const wanted = opened.manifest.files.find((file) => file.path === path)
    expect(sha256Of(Buffer.from(bytes))).toBe(wanted?.sha256)
  }
  return { manifest: opened.manifest, report: await opened.finish() }
}

async function failureOf(work: Promise<unknown>): Promise<Error> {
  return work.then(
    () => Promise.reject(new Error('it did not fail')),
    (error: Error) => error,
  )
}

function everythingOf(error: unknown): string {
  return error instanceof Error
    ? `${error.message} ${error.stack} ${everythingOf(error.cause)}`
    : String(error)
}

function fileOf(path: string): Buffer {
  const bytes = files.get(path)
  if (bytes === undefined) throw new Error(`no file ${path}`)
  return bytes
}

function sizeOf(...paths: readonly string[]): number {
  return paths.reduce((sum, path) => sum + fileOf(path).length, 0)
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function flipped(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes)
  copy.writeUInt8(copy.readUInt8(20) ^ 1, 20)
  return copy
}

/** A hub that says one thing of files whose path matches, and sends another; or is about the other one from the start. */
function answering(
  pattern: string,
  change: (bytes: Buffer) => Buffer,
  isListed = false,
): HubServerOptions & { readonly files?: HubFiles } {
  if (isListed)
    return {
      get files() {
        return withFile(files, 'config.json', change(Buffer.alloc(0)))
      },
    }
  return {
    misbehave: ({ path, method, response }) => {
      if (method !== 'GET' || !new RegExp(pattern).test(path)) return false
      const right = [...files].find(
        ([name, bytes]) => path.endsWith(`/${name}`) || path === `/${sha256Of(bytes)}`,
      )
      if (right === undefined) return false
      response.writeHead(200).end(change(right[1]))
      return true
    },
  }
}

function page(pattern: RegExp): NonNullable<HubServerOptions['misbehave']> {
  return ({ path, response }) => {
    if (!pattern.test(path)) return false
    response.writeHead(200, { 'content-type': 'text/html' }).end('<!doctype html>')
    return true
  }
}

function failing(pattern: RegExp): NonNullable<HubServerOptions['misbehave']> {
  return ({ path, response }) => {
    if (!pattern.test(path)) return false
    response.writeHead(503).end()
    return true
  }
}
