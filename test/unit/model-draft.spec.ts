import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { makeModel } from '../../packages/convert/src/make-model.ts'
import type { ModelTarget } from '../../packages/convert/src/make-model.ts'
import { randomDecoder } from '../../packages/convert/src/random-model.ts'
import { vocabularyTokenizer } from '../../packages/convert/src/tokenizer/model-tokenizer.ts'
import { syntheticVocabulary } from '../../packages/convert/src/tokenizer/synthetic.ts'
import { writeModel } from '../../packages/convert/src/write-model.ts'
import type { LoadProgress } from '../../packages/protocol/src/index.ts'
import { Http, ModelRepository, WeightStore, memoryChunkStore } from '../../packages/runtime/src/index.ts'
import type { ChunkStore, ModelDraft } from '../../packages/runtime/src/index.ts'

const SHAPE = { hiddenSize: 64, layers: 2, heads: 2, kvHeads: 1, hiddenDim: 96, vocabSize: 300 }
const SETTINGS = { name: 'made', version: '1', weights: 'int8' } as const
const ADDRESS = 'picked:made@1/'
/** Files are several of them, and their pieces end within one. */
const CHUNK = 3000

const never = new AbortController().signal

test('a model that is made into the store is the one that the command line writes, and survives a repair', async () => {
  const out = join(await mkdtemp(join(tmpdir(), 'model-draft-')), 'made')
  const chunks = memoryChunkStore()
  try {
    const written = await writeModel(decoder(), tokenizer(), { ...SETTINGS, out })
    const stored = await repositoryOn(chunks).make(asked(), make())
    expect(stored).toMatchObject({ url: ADDRESS, id: 'made@1', state: 'stored', missingBytes: 0 })
    const later = repositoryOn(chunks) // repairs what it finds
    const opened = await later.open({ url: ADDRESS }, { ...asked(), refresh: false })
    expect(opened.manifest).toEqual(written.manifest)
    for (const { path } of written.manifest.files)
      expect(Buffer.compare(await opened.files.bytes(path), await readFile(join(out, path))), path).toBe(0)
    expect(await later.verify(ADDRESS)).toMatchObject({ isRight: true, checkedBytes: stored.totalBytes })
    await later.clear(ADDRESS)
    expect(await keysOf(chunks)).toEqual([])
  } finally {
    await rm(join(out, '..'), { recursive: true, force: true })
  }
})

test('nobody sees a model before it is whole, and nothing stays of one that fails', async () => {
  const chunks = memoryChunkStore()
  const repository = repositoryOn(chunks)
  const making = repository.make(
    asked(),
    make((target) => ({
      write: (file) => target.write(file),
      async finish() {
        expect((await chunks.chunkKeys()).length).toBeGreaterThan(10)
        expect(await repository.list()).toEqual([])
        expect(await repository.storage()).toMatchObject({ usedBytes: 0 })
        throw new Error('no more')
      },
    })),
  )
  await expect(making).rejects.toThrow('no more')
  expect(await keysOf(chunks)).toEqual([])
})

test('a signal stops the making within a piece, and nothing stays', async () => {
  const chunks = memoryChunkStore()
  const abort = new AbortController()
  let pieces = 0
  const making = repositoryOn(chunks).make({ ...asked(), signal: abort.signal }, (draft) =>
    makeModel(decoder(), tokenizer(), SETTINGS, draft, () => ++pieces === 5 && abort.abort()),
  )
  await expect(making).rejects.toMatchObject({ code: 'aborted' })
  expect(pieces).toBe(5)
  expect(await keysOf(chunks)).toEqual([])
})

test('a model that the budget or the disk has no room for is one storage error, and others give way to one that fits', async () => {
  const chunks = memoryChunkStore()
  const { totalBytes } = await repositoryOn(chunks).make(asked(), make())
  const tight = repositoryOn(chunks, totalBytes + 1000)
  await expect(repositoryOn(memoryChunkStore(), totalBytes - 1).make(asked(), make())).rejects.toMatchObject({
    code: 'storage',
    message: /budget of .* Raise it/,
  })
  await tight.make(asked(), make(undefined, 'other', 'q4'))
  expect(await tight.list()).toMatchObject([
    { id: 'other@1', state: 'stored' },
    { id: 'made@1', state: 'partial' }, // the other has the same tokenizer
  ])
  const full = fullAfter(totalBytes / 2)
  await expect(repositoryOn(full).make(asked(), make())).rejects.toMatchObject({
    code: 'storage',
    message: /no room/,
  })
  expect(await keysOf(full)).toEqual([])
})

test('what two made models share is kept once; one that is made again takes the place of the first', async () => {
  const chunks = memoryChunkStore()
  const repository = repositoryOn(chunks)
  const { totalBytes } = await repository.make(asked(), make())
  await repository.make(asked(), make(undefined, 'other'))
  expect(await repository.storage()).toMatchObject({ usedBytes: totalBytes })
  await repository.make(asked(), make(undefined, 'made', 'fp32'))
  await repository.clear('picked:other@1/')
  expect(await repository.list()).toMatchObject([{ id: 'made@1', state: 'stored' }])
  expect((await repository.verify(ADDRESS)).isRight).toBe(true)
})

test('a store that is cleared in the meantime is an error, not a model with holes', async () => {
  const chunks = memoryChunkStore()
  const repository = repositoryOn(chunks)
  const making = repository.make(
    asked(),
    make((target) => ({
      write: (file) => target.write(file),
      async finish(manifest) {
        await repository.clear()
        await target.finish(manifest)
      },
    })),
  )
  await expect(making).rejects.toMatchObject({ code: 'storage', message: /cleared in the meantime/ })
  expect(await keysOf(chunks)).toEqual([])
})

test('where the browser keeps nothing, a model is made for as long as the worker lives, and that is said', async () => {
  const store = new WeightStore(memoryChunkStore(), { chunkBytes: CHUNK })
  const repository = new ModelRepository({
    store,
    http: new Http({}),
    problem: 'indexeddb does not work here',
  })
  const progress: LoadProgress[] = []
  const onProgress = (event: LoadProgress) => progress.push(event)
  await repository.make({ ...asked(), onProgress }, make())
  expect(progress).toMatchObject([
    {
      phase: 'not-stored',
      warning: { reason: 'unavailable', message: expect.stringContaining('gone with this worker') },
    },
  ])
  for (let load = 0; load < 2; load++) {
    const opened = await repository.open({ url: ADDRESS }, { ...asked(), refresh: false })
    expect((await opened.files.bytes('tokenizer.json')).length).toBeGreaterThan(1000)
    await opened.finish()
  }
})

test('a rotten chunk of a made model is struck, and the picked model says that it has to be picked again', async () => {
  const chunks = memoryChunkStore()
  const repository = repositoryOn(chunks)
  await repository.make(asked(), make())
  const [key = ''] = await chunks.chunkKeys()
  await chunks.write({ removedChunks: [key] })
  expect(await repository.verify(ADDRESS)).toMatchObject({ isRight: false, damaged: ['model.onnx'] })
  const opened = await repository.open({ url: ADDRESS }, { ...asked(), refresh: false })
  await expect(opened.finish()).rejects.toMatchObject({ code: 'model_not_found', message: /Pick the/ })
  await repository.make(asked(), make())
  expect((await repository.verify(ADDRESS)).isRight).toBe(true)
})

function asked() {
  return { signal: never, onProgress: () => {} }
}

/** Makes the test's model into a draft, or into what `around` makes of the draft. */
function make(
  around: (target: ModelTarget) => ModelTarget = (target) => target,
  name = 'made',
  weights: 'int8' | 'fp32' | 'q4' = 'int8',
) {
  return (draft: ModelDraft) =>
    makeModel(decoder(), tokenizer(), { ...SETTINGS, name, weights }, around(draft))
}

function decoder() {
  return randomDecoder(SHAPE, 64, 1, true)
}

function tokenizer() {
  return vocabularyTokenizer(syntheticVocabulary(SHAPE.vocabSize), 64)
}

function repositoryOn(chunks: ChunkStore, budgetBytes = Infinity): ModelRepository {
  return new ModelRepository({
    store: new WeightStore(chunks, { chunkBytes: CHUNK, budgetBytes }),
    http: new Http({}),
  })
}

async function keysOf(chunks: ChunkStore): Promise<string[]> {
  return [...(await chunks.entryKeys()), ...(await chunks.chunkKeys())]
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
