import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import type { LoadProgress } from '../../packages/protocol/src/index.ts'
import { Http } from '../../packages/runtime/src/models/http.ts'
import { ModelRepository } from '../../packages/runtime/src/models/repository.ts'
import type { ChunkStore } from '../../packages/runtime/src/storage/chunk-store.ts'
import { memoryChunkStore } from '../../packages/runtime/src/storage/memory-chunk-store.ts'
import { openChunkStore } from '../../packages/runtime/src/storage/open-store.ts'
import { WeightStore } from '../../packages/runtime/src/storage/weight-store.ts'
import type { Asked, BadServer } from './bad-server.ts'
import { serveBadly } from './bad-server.ts'

const CHUNK = 2 ** 16
const DATA = 'model.onnx.data'
const FAST = { retries: 3, baseMs: 5, maxMs: 2000 }

type Misbehaviour = Parameters<typeof serveBadly>[0]

/** Each ends in the right model. */
const SURVIVED: Readonly<Record<string, NonNullable<Misbehaviour>>> = {
  'cuts every connection after a while': ({ file, from, to, whole, isRange, response, before }) => {
    if (file !== DATA || before % 2 === 1) return false
    const status = isRange ? 206 : 200
    response.writeHead(status, {
      'content-length': to - from,
      'content-range': `bytes ${from}-${to - 1}/${whole.length}`,
    })
    response.write(whole.subarray(from, from + Math.floor((to - from) / 2)), () => response.destroy())
    return true
  },
  'ignores ranges': ({ file, whole, response }) => {
    if (file !== DATA) return false
    response.writeHead(200, { 'content-length': whole.length }).end(whole)
    return true
  },
  'ignores ranges and cuts': ({ file, whole, response, before }) => {
    if (file !== DATA) return false
    response.writeHead(200, { 'content-length': whole.length })
    if (before >= 3) response.end(whole)
    else response.write(whole.subarray(0, (before + 1) * 200_000), () => response.destroy())
    return true
  },
  'is too busy twice': ({ before, response }) => {
    if (before >= 2) return false
    response.writeHead(before === 0 ? 429 : 503, { 'retry-after': '0' }).end()
    return true
  },
  'stalls once': ({ file, before, response, to, from }) => {
    if (file !== DATA || before !== 1) return false
    response.writeHead(206, { 'content-length': to - from }).flushHeaders()
    return true
  },
  'ends one body early without a word': ({ file, before, response, from, to, whole }) => {
    if (file !== DATA || before !== 1) return false
    response.writeHead(206).end(whole.subarray(from, to - 100))
    return true
  },
}

for (const [what, misbehave] of Object.entries(SURVIVED)) {
  test(`a server that ${what} still brings the right model`, async () => {
    await withServer(misbehave, async (server) => {
      const repository = repositoryOn(memoryChunkStore())
      expectSame(await dataOf(repository, server.url), await rightData())
      server.requests.length = 0
      expectSame(await dataOf(repository, server.url), await rightData())
      expect(server.requests).toEqual([])
    })
  })
}

const FAILED: readonly (readonly [string, string, (asked: Asked) => void])[] = [
  [
    'flips a bit',
    'integrity',
    ({ whole, from, to, response }) => response.writeHead(206).end(flipped(whole.subarray(from, to))),
  ],
  [
    'holds a shorter file',
    'integrity',
    ({ whole, response }) => response.writeHead(200).end(whole.subarray(0, 100_000)),
  ],
  [
    'holds a longer file',
    'integrity',
    ({ whole, response }) => response.writeHead(200).end(Buffer.concat([whole, whole])),
  ],
  [
    'says another size',
    'integrity',
    ({ response }) => response.writeHead(206, { 'content-range': 'bytes 0-65535/99' }).end(),
  ],
  [
    'answers with a page',
    'network',
    ({ response }) => response.writeHead(200, { 'content-type': 'text/html' }).end('<p>'),
  ],
  ['is always too busy', 'network', ({ response }) => response.writeHead(503).end()],
  [
    'asks to come back in an hour',
    'network',
    ({ response }) => response.writeHead(429, { 'retry-after': '3600' }).end(),
  ],
  ['never says anything', 'network', ({ response }) => response.writeHead(206).flushHeaders()],
  ['does not have it', 'model_not_found', ({ response }) => response.writeHead(404).end()],
]

for (const [what, code, answer] of FAILED) {
  test(`a server that ${what} is one ${code} error that names the file, and no model is kept`, async () => {
    const misbehave = (asked: Asked) => asked.file === DATA && (answer(asked), true)
    await withServer(misbehave, async (server) => {
      const chunks = memoryChunkStore()
      await expect(dataOf(repositoryOn(chunks), server.url)).rejects.toMatchObject({ code, file: DATA })
      expect((await chunks.entryKeys()).filter((key) => key.startsWith('model '))).toEqual([])
      if (code === 'integrity') expect(await chunks.chunkKeys()).toEqual([])
    })
  })
}

test('after a load that broke at 60 %, at most one chunk is fetched again', async () => {
  let isBroken = true
  const misbehave = ({ file, from, whole, response }: Asked) => {
    if (!isBroken || file !== DATA || from < 0.6 * whole.length) return false
    response.destroy()
    return true
  }
  await withServer(misbehave, async (server) => {
    const chunks = memoryChunkStore()
    await expect(dataOf(repositoryOn(chunks), server.url)).rejects.toMatchObject({ code: 'network' })
    isBroken = false
    server.sent.delete(DATA)
    const right = await rightData()
    expectSame(await dataOf(repositoryOn(chunks), server.url), right)
    expect(server.sent.get(DATA)).toBeLessThanOrEqual(0.4 * right.byteLength + CHUNK)
  })
})

test('a rotten chunk and one that was deleted are fetched alone', async () => {
  await withServer(undefined, async (server) => {
    const chunks = memoryChunkStore()
    const right = await dataOf(repositoryOn(chunks), server.url)
    const keys = (await chunks.chunkKeys()).filter((key) => key.startsWith(dataHash)).toSorted()
    await chunks.write({ chunks: [[keys[3] ?? '', new Uint8Array(CHUNK)]], removedChunks: [keys[7] ?? ''] })
    server.sent.clear()
    expectSame(await dataOf(repositoryOn(chunks), server.url), right)
    expect([...server.sent]).toEqual([[DATA, 2 * CHUNK]])
  })
})

test('a full disk makes the model run without being kept, and the load says so', async () => {
  await withServer(undefined, async (server) => {
    const progress: LoadProgress[] = []
    const chunks = fullAfter(300_000)
    expectSame(await dataOf(repositoryOn(chunks), server.url, progress), await rightData())
    const warnings = progress.filter((event) => event.phase === 'not-stored')
    expect(warnings).toMatchObject([{ warning: { reason: 'quota' } }])
    expect(await chunks.chunkKeys()).toEqual([])
  })
})

test('where the browser keeps nothing the model runs, and the load says so', async () => {
  await withServer(undefined, async (server) => {
    const { store, problem } = await openChunkStore('indexeddb') // Node has none
    const options = { store: new WeightStore(store), http: new Http(), problem: problem ?? 'it works' }
    const progress: LoadProgress[] = []
    expectSame(await dataOf(new ModelRepository(options), server.url, progress), await rightData())
    expect(progress.filter((event) => event.phase === 'not-stored')).toMatchObject([
      {
        warning: { reason: 'unavailable', message: expect.stringContaining('indexeddb does not work here') },
      },
    ])
  })
})

test('a model over the budget is not kept, and the load says so', async () => {
  await withServer(undefined, async (server) => {
    const progress: LoadProgress[] = []
    const chunks = memoryChunkStore()
    await dataOf(repositoryOn(chunks, 500_000), server.url, progress)
    expect(progress.filter((event) => event.phase === 'not-stored')).toMatchObject([
      { warning: { reason: 'budget' } },
    ])
    expect(await chunks.chunkKeys()).toEqual([])
  })
})

test('an origin that is not allowed is refused before any request', async () => {
  await withServer(undefined, async (server) => {
    const http = new Http({ allowedOrigins: ['https://models.example'] })
    const repository = new ModelRepository({ store: new WeightStore(memoryChunkStore()), http })
    await expect(dataOf(repository, server.url)).rejects.toMatchObject({ code: 'bad_request' })
    expect(server.requests).toEqual([])
  })
})

test('models are prefetched, listed, pinned, evicted and removed', async () => {
  await withServer(undefined, async (server) => {
    const repository = repositoryOn(memoryChunkStore())
    const { url } = server
    expect(await repository.status({ url })).toMatchObject({
      id: 'stories@1',
      state: 'absent',
      storedBytes: 0,
    })
    const options = { signal: new AbortController().signal, onProgress: () => {} }
    expect(await repository.prefetch({ url }, options)).toMatchObject({ state: 'stored', missingBytes: 0 })
    expect(await repository.verify(url)).toMatchObject({ isRight: true, damaged: [] })
    await repository.setPinned(url, true)
    await expect(repository.evict(url)).rejects.toMatchObject({ code: 'bad_request' })
    await repository.setPinned(url, false)
    await repository.evict(url)
    expect(await repository.list()).toMatchObject([{ url, state: 'absent', isPinned: false }])
    await repository.clear(url)
    expect(await repository.list()).toEqual([])
    await expect(repository.verify(url)).rejects.toMatchObject({ code: 'model_not_found' })
  })
})

test('a model of picked files is kept under its name and needs no files the second time', async () => {
  const folder = join(import.meta.dirname, '../../models/stories/v1')
  const names = ['manifest.json', 'model.onnx', DATA, 'tokenizer.json', 'tokenizer_config.json']
  const files = await Promise.all(
    names.map(async (name) => ({
      path: `stories/v1/${name}`,
      blob: new Blob([await readFile(join(folder, name))]),
    })),
  )
  const repository = repositoryOn(memoryChunkStore())
  const options = { signal: new AbortController().signal, onProgress: () => {}, refresh: false }
  await (await repository.open({ files }, options)).finish()
  expectSame(await dataOf(repository, 'picked:stories@1/'), await rightData())
})

let dataHash = ''
test.beforeAll(async () => {
  const digest = await crypto.subtle.digest('SHA-256', (await rightData()) as BufferSource)
  dataHash = Buffer.from(digest).toString('hex')
})

async function withServer(misbehave: Misbehaviour, use: (server: BadServer) => Promise<void>): Promise<void> {
  const server = await serveBadly(misbehave)
  try {
    await use(server)
  } finally {
    await server.close()
  }
}

function repositoryOn(chunks: ChunkStore, budgetBytes = Infinity): ModelRepository {
  const store = new WeightStore(chunks, { chunkBytes: CHUNK, budgetBytes })
  return new ModelRepository({ store, http: new Http({ stallMs: 200 }), retries: FAST })
}

/** Opens a model, reads its weights and finishes, as a load does. */
async function dataOf(
  repository: ModelRepository,
  url: string,
  progress: LoadProgress[] = [],
): Promise<Uint8Array> {
  const onProgress = (event: LoadProgress) => progress.push(event)
  const opened = await repository.open(
    { url },
    { signal: new AbortController().signal, onProgress, refresh: false },
  )
  const bytes = await opened.files.bytes(DATA)
  await opened.finish()
  return bytes
}

async function rightData(): Promise<Uint8Array> {
  return new Uint8Array(await readFile(join(import.meta.dirname, '../../models/stories/v1', DATA)))
}

/** `toEqual` takes seconds for a megabyte. */
function expectSame(found: Uint8Array, wanted: Uint8Array): void {
  expect(Buffer.compare(found, wanted)).toBe(0)
}

function flipped(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte, index) => (index === 100 ? byte ^ 1 : byte))
}

/** A store on a disk with room for so many bytes of chunks. */
function fullAfter(capacity: number): ChunkStore {
  const store = memoryChunkStore()
  let used = 0
  return {
    ...store,
    async write(change) {
      const more = (change.chunks ?? []).reduce((sum, [, bytes]) => sum + bytes.byteLength, 0)
      if (more > 0 && used + more > capacity) throw new DOMException('', 'QuotaExceededError')
      used += more
      await store.write(change)
    },
  }
}
