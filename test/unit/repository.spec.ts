import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'playwright/test'
import type { LoadProgress } from '../../packages/protocol/src/index.ts'
import { createBreath } from '../../packages/runtime/src/breath.ts'
import { Http } from '../../packages/runtime/src/models/http.ts'
import { slices } from '../../packages/runtime/src/models/model-files.ts'
import { ModelRepository } from '../../packages/runtime/src/models/repository.ts'
import { hashGently, sha256Of, streamingSha256 } from '../../packages/runtime/src/models/sha256.ts'
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
  'cuts every connection that does not go on from another': ({
    file,
    from,
    to,
    whole,
    isRange,
    response,
  }) => {
    if (file !== DATA || from % 2 ** 14 !== 0) return false
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
  'compresses whole files': ({ whole, isRange, response }) => {
    if (isRange) return false
    response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(whole, { level: 1 }))
    return true
  },
  'compresses also ranges, which are then ranges of something else': ({
    from,
    to,
    whole,
    isRange,
    response,
  }) => {
    const packed = gzipSync(whole, { level: 1 })
    if (!isRange) response.writeHead(200, { 'content-encoding': 'gzip' }).end(packed)
    else response.writeHead(206, { 'content-encoding': 'gzip' }).end(packed.subarray(from, to))
    return true
  },
  'gives each answer another tag but one date': ({ file, before, from, to, whole, response }) => {
    if (file !== DATA) return false
    const headers = { etag: `"${before}"`, 'last-modified': 'Mon, 02 Nov 2026 10:00:00 GMT' }
    response.writeHead(206, headers).end(whole.subarray(from, to))
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
    await new Promise((resolve) => setTimeout(resolve, 300)) // ranges that were given up may still be on their way to the server
    server.sent.delete(DATA)
    const right = await rightData()
    expectSame(await dataOf(repositoryOn(chunks), server.url), right)
    expect(server.sent.get(DATA)).toBeLessThanOrEqual(0.4 * right.byteLength + CHUNK)
  })
})

test('a connection that is cut at 60 % of a chunk costs no byte that had arrived', async () => {
  const misbehave = ({ file, before, from, to, whole, response }: Asked) => {
    if (file !== DATA || before !== 3) return false
    const arrived = whole.subarray(from, from + Math.floor(0.6 * (to - from)))
    response.writeHead(206, { 'content-length': to - from })
    response.write(arrived, () => setTimeout(() => response.destroy(), 100)) // it must arrive before the end does
    return true
  }
  await withServer(misbehave, async (server) => {
    const right = await rightData()
    expectSame(await dataOf(repositoryOn(memoryChunkStore()), server.url), right)
    expect(right.byteLength - (server.sent.get(DATA) ?? 0)).toBe(Math.floor(0.6 * (CHUNK / 4)))
  })
})

test('a chunk comes in parallel ranges, and no second one before it is kept', async () => {
  const running = new Set<number>()
  let mostRunning = 0
  const chunks = memoryChunkStore()
  const asked = new Set<number>()
  const tooEarly: number[] = []
  const misbehave = ({ file, from, to, whole, response }: Asked) => {
    if (file !== DATA) return false
    const chunk = Math.floor(from / CHUNK)
    asked.add(chunk)
    void chunks.chunkKeys().then((keys) => {
      if (keys.filter((key) => key.startsWith(dataHash)).length < chunk) tooEarly.push(chunk)
    })
    running.add(from)
    mostRunning = Math.max(mostRunning, running.size)
    setTimeout(() => {
      running.delete(from)
      response.writeHead(206).end(whole.subarray(from, to))
    }, 2)
    return true
  }
  await withServer(misbehave, async (server) => {
    expectSame(await dataOf(repositoryOn(chunks), server.url), await rightData())
    expect(asked.size).toBeGreaterThan(10)
    expect(tooEarly).toEqual([])
    expect(mostRunning).toBe(4)
  })
})

test('a file that changes on the server between two ranges is one integrity error that says so', async () => {
  const conditions: (string | undefined)[] = []
  const misbehave = ({ file, before, from, to, ifRange, whole, response }: Asked) => {
    if (file !== DATA) return false
    conditions.push(ifRange)
    if (before === 0) response.writeHead(206, { etag: '"old"' }).end(whole.subarray(from, to))
    else response.writeHead(200, { etag: '"new"' }).end(flipped(whole)) // what If-Range asks for
    return true
  }
  await withServer(misbehave, async (server) => {
    const chunks = memoryChunkStore()
    await expect(dataOf(repositoryOn(chunks), server.url)).rejects.toMatchObject({
      code: 'integrity',
      file: DATA,
      message: expect.stringContaining('changed on the server'),
    })
    expect(conditions[0]).toBeUndefined()
    expect(new Set(conditions.slice(1))).toEqual(new Set(['"old"']))
    expect(await chunks.chunkKeys()).toEqual([])
  })
})

test('a server that asks for an hour is obeyed by failing: the error says when to come back', async () => {
  const misbehave = ({ file, response }: Asked) => {
    if (file === DATA) response.writeHead(503, { 'retry-after': '3600' }).end()
    return file === DATA
  }
  await withServer(misbehave, async (server) => {
    await expect(dataOf(repositoryOn(memoryChunkStore()), server.url)).rejects.toMatchObject({
      code: 'network',
      retryAfterMs: 3_600_000,
    })
    expect(server.requests.filter((file) => file === DATA).length).toBe(1)
  })
})

test('messages are served while a large file is hashed and read', async () => {
  const bytes = new Uint8Array(2 ** 24)
  for (let at = 0; at < bytes.length; at += 65536) crypto.getRandomValues(bytes.subarray(at, at + 65536))
  const { port1, port2 } = new MessageChannel()
  let turns = 0
  port1.onmessage = () => {
    turns++
    port2.postMessage(null)
  }
  port2.postMessage(null)
  const hash = await streamingSha256()
  const breath = createBreath()
  try {
    await hashGently(hash, bytes, breath)
    expect(turns).toBeGreaterThan(10)
    turns = 0
    for await (const piece of slices(once(bytes))) expect(piece.byteLength).toBeLessThanOrEqual(2 ** 20)
    expect(turns).toBeGreaterThan(10)
  } finally {
    breath.dispose()
    port1.close()
  }
  expect(hash.hex()).toBe(await sha256Of(bytes))
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

test('a manifest that never ends, and small as it is sent, is bad_model, and little of it was held', async () => {
  const piece = gzipSync(Buffer.alloc(2 ** 24, ' '))
  const endless: Misbehaviour = ({ file, response }) => {
    if (file !== 'manifest.json') return false
    response.writeHead(200, { 'content-encoding': 'gzip' }) // members, one after the other, unpack to one text
    const more = () => void (response.destroyed || response.write(piece, () => setImmediate(more)))
    more()
    return true
  }
  await withServer(endless, async (server) => {
    const repository = repositoryOn(memoryChunkStore())
    await expect(dataOf(repository, server.url)).rejects.toMatchObject({
      code: 'bad_model',
      file: 'manifest.json',
      message: expect.stringContaining('which no file of its kind has'),
    })
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
  const report = await (await repository.open({ files }, options)).finish()
  expect(report).toMatchObject({ networkBytes: 0, storedBytes: 0 })
  expect(report.localBytes).toBeGreaterThan((await rightData()).byteLength)
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
  return new ModelRepository({ store, http: new Http({ stallMs: 700 }), retries: FAST })
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

async function* once<T>(value: T): AsyncGenerator<T> {
  yield value
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
