import type { ChunkStore } from '../../packages/runtime/src/index.ts'
import { WeightStore } from '../../packages/runtime/src/index.ts'
import { expect } from './promise.ts'

const CHUNK = 1000

/** Throws at the first promise of the weight store that it does not keep on this store of chunks. @param open each time the same one. */
export async function checkWeightStore(open: () => ChunkStore): Promise<void> {
  const chunks = open()
  await chunks.clear()
  let now = 0
  const options = { budgetBytes: 10_000, chunkBytes: CHUNK, now: () => ++now }
  const store = new WeightStore(chunks, options)
  await store.ready()

  await keepModel(store, 'https://x/one/', [file('a', 2500), file('b', 500)])
  await keepModel(store, 'https://x/two/', [file('b', 500), file('c', 3000)])
  expect((await store.usedBytes()) === 6000, 'a file that two models share is kept once')
  const stored = await store.file(file('a', 2500))
  expect(stored.isWhole && (await stored.read(2))?.length === 500, 'a whole file is read by its chunks')

  await chunks.write({ chunks: [[chunkKey('a', 1), new Uint8Array(CHUNK)]] })
  expect((await stored.read(1)) === undefined, 'a rotten chunk is not given out')
  const after = await store.file(file('a', 2500))
  expect(
    after.missing.join() === '1' && !after.isWhole,
    'a rotten chunk, and no other, is missing from then on',
  )
  expect(after.expectedHash(1) !== undefined, 'what a lost chunk must be stays known')
  await after.keep(1, content('a', 1, CHUNK), await hashOf(content('a', 1, CHUNK)), false)
  expect(after.isWhole, 'a file is whole again with the chunk that it lacked')

  await chunks.write({
    removedChunks: [chunkKey('c', 0)],
    chunks: [[chunkKey('d', 0), new Uint8Array(CHUNK)]],
  })
  const reopened = new WeightStore(chunks, options)
  await reopened.ready()
  expect(
    (await reopened.file(file('c', 3000))).missing.join() === '0',
    'a chunk that somebody deleted is struck at open',
  )
  expect(!(await chunks.chunkKeys()).includes(chunkKey('d', 0)), 'a chunk that nobody knows of goes at open')

  const one = await store.model('https://x/one/')
  if (one === undefined) throw new Error('the first model is gone')
  await store.setPinned(one, true)
  expect(await store.makeRoom(6000, 'https://x/new/'), 'room is made')
  expect((await store.model('https://x/two/')) === undefined, 'the model that is not pinned gives way')
  expect((await store.model('https://x/one/')) !== undefined, 'a pinned model stays')
  expect((await store.file(file('b', 500))).isWhole, 'what a remaining model needs stays')
  expect(!(await store.makeRoom(8000, 'https://x/new/')), 'a pinned model is no room')

  await store.beginDownload(record('https://x/part/', [file('e', 2000)]))
  const part = await store.file(file('e', 2000))
  await part.keep(0, content('e', 0, CHUNK), await hashOf(content('e', 0, CHUNK)), false)
  const later = new WeightStore(open(), options)
  await later.ready()
  expect(
    (await later.file(file('e', 2000))).missing.join() === '1',
    'a download that was cut keeps its whole chunks',
  )
  expect((await later.model('https://x/part/')) === undefined, 'a model that is not whole is not there')
  await later.finishDownload('https://x/part/')
  await later.evict('https://x/part/')
  await later.beginDownload({ ...record('https://x/part/', [file('e', 2000)]), manifest: '{"new":1}' })
  expect(
    (await later.known('https://x/part/'))?.isEvicted === false,
    'a download shows, not the model that was evicted before it',
  )
  const shown = (await later.models()).filter(({ address }) => address === 'https://x/part/')
  expect(shown.length === 1 && shown[0]?.isEvicted === false, 'it is listed once, as the download')
  await later.remove('https://x/part/')
  await later.remove('https://x/one/')
  expect((await chunks.chunkKeys()).length === 0, 'nothing is left of removed models')
  await checkAdoption(open, later)
  await checkDrafts(chunks, open, options)
  await chunks.clear()
}

/** A file that comes before anybody knows its hash. */
async function checkAdoption(open: () => ChunkStore, store: WeightStore): Promise<void> {
  const [unnamed, named] = [file('f', 1500), file('0', 1500)]
  await store.beginDownload(record('https://x/first/', [unnamed, named]))
  const stored = await store.file(unnamed)
  for (const index of [0, 1]) {
    const bytes = content('f', index, stored.lengthOf(index))
    await stored.keep(index, bytes, await hashOf(bytes), false)
  }
  await stored.adopt(named.sha256)
  await store.beginDownload(record('https://x/first/', [named]))
  await store.finishDownload('https://x/first/')
  const reopened = new WeightStore(open(), { chunkBytes: CHUNK })
  await reopened.ready()
  const found = await reopened.file(named)
  expect(found.isWhole && (await found.read(1))?.length === 500, 'an adopted file goes by its hash')
  expect(
    (await reopened.adoptedAs(unnamed.sha256)) === named.sha256,
    'and what it was called before is known',
  )
  expect((await reopened.file(unnamed)).keptBytes === 0, 'and is no file any more')

  await reopened.beginDownload(record('https://x/again/', [file('9', 1500), named]))
  const again = await reopened.file(file('9', 1500))
  const first = content('f', 0, CHUNK)
  await again.keep(0, first, await hashOf(first), false)
  await again.adopt(named.sha256)
  expect((await reopened.usedBytes()) === 1500, 'one that is there already is kept once')
  await reopened.remove('https://x/first/')
  await reopened.remove('https://x/again/')
  expect((await open().chunkKeys()).length === 0, 'nothing is left of adopted files')
}

/** Files whose hash is not known until they are there. */
async function checkDrafts(
  chunks: ChunkStore,
  open: () => ChunkStore,
  options: ConstructorParameters<typeof WeightStore>[1],
): Promise<void> {
  const never = new AbortController().signal
  const store = new WeightStore(chunks, options)
  const draftOf = async (letter: string, bytes: number) => {
    const draft = await store.draft(bytes)
    for (let from = 0, index = 0; from < bytes; from += CHUNK, index++) {
      const chunk = content(letter, index, Math.min(CHUNK, bytes - from))
      await draft.keep(chunk, await hashOf(chunk))
    }
    return draft
  }
  const draft = await draftOf('f', 2500)
  const loose = await draftOf('g', 1500)
  expect((await chunks.chunkKeys()).length === 5, 'chunks of drafts are there')
  expect((await store.usedBytes()) === 0, 'no journal speaks of a draft')
  if (globalThis.navigator?.locks !== undefined) {
    await new WeightStore(open(), options).ready()
    expect((await chunks.chunkKeys()).length === 5, 'a draft that somebody works on is left alone')
  }
  await store.beginDownload(record('https://x/made/', [file('f', 2500)]))
  await draft.adopt(file('f', 2500).sha256, never)
  await store.finishDownload('https://x/made/')
  await loose.discard()
  expect((await chunks.chunkKeys()).length === 3, 'a draft that is discarded is gone')

  await chunks.write({ chunks: [['draft1x2-000000', new Uint8Array(CHUNK)]] })
  const later = new WeightStore(open(), options)
  await later.ready()
  expect((await chunks.chunkKeys()).length === 3, 'a draft that nobody works on goes at open')
  const made = await later.file(file('f', 2500))
  expect(made.isWhole && (await made.read(2))?.length === 500, 'a made file is read by its chunks')
  await (await draftOf('f', 2500)).adopt(file('f', 2500).sha256, never)
  expect((await chunks.chunkKeys()).length === 3, 'a file that is there already is not kept twice')
  await later.remove('https://x/made/')
  expect((await chunks.chunkKeys()).length === 0, 'nothing is left of a made file')
}

interface TestFile {
  readonly sha256: string
  readonly bytes: number
}

/** The store takes a file's hash as its name; who fills it has checked it. */
function file(letter: string, bytes: number): TestFile {
  return { sha256: letter.repeat(64), bytes }
}

function chunkKey(letter: string, index: number): string {
  return `${letter.repeat(64)}-${String(index).padStart(6, '0')}`
}

function content(letter: string, index: number, length: number): Uint8Array<ArrayBuffer> {
  return new Uint8Array(length).fill(letter.charCodeAt(0) + index)
}

function record(address: string, files: readonly TestFile[]) {
  return { address, id: 'x@1', manifest: '{}', files }
}

async function keepModel(store: WeightStore, address: string, files: readonly TestFile[]): Promise<void> {
  await store.beginDownload(record(address, files))
  for (const identity of files) {
    const stored = await store.file(identity)
    for (const index of stored.missing) {
      const bytes = content(identity.sha256, index, stored.lengthOf(index))
      await stored.keep(index, bytes, await hashOf(bytes), index + 1 === stored.numChunks)
    }
  }
  await store.finishDownload(address)
}

async function hashOf(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
}
