import type { ChunkStore } from '../../packages/runtime/src/index.ts'
import { expect } from './promise.ts'

/** Throws at the first promise of `ChunkStore` that a store does not keep. Plain code, so that it runs in a page as in Node. */
export async function checkChunkStore(store: ChunkStore): Promise<void> {
  await store.clear()
  const large = new Uint8Array(17 * 2 ** 20).map((_, index) => index * 31)
  const view = new Uint8Array(large.buffer, 5, 1000)

  expect((await store.readEntry('a')) === undefined, 'an entry that was never written is not there')
  expect((await store.readChunk('a-1')) === undefined, 'a chunk that was never written is not there')
  await store.write({
    entries: [['model https://x/ä/', { list: [1, null] }]],
    chunks: [
      ['a-1', large],
      ['a-2', view],
    ],
  })
  expect(
    JSON.stringify(await store.readEntry('model https://x/ä/')) === '{"list":[1,null]}',
    'an entry comes back',
  )
  expect(same(await store.readChunk('a-1'), large), 'a chunk comes back')
  expect(same(await store.readChunk('a-2'), view), 'of a view, only the view is kept')
  await store.write({ chunks: [['a-1', view]] })
  expect(same(await store.readChunk('a-1'), view), 'a shorter chunk replaces a longer one')
  expect((await store.entryKeys()).join() === 'model https://x/ä/', 'entries are listed')
  expect((await store.chunkKeys()).toSorted().join() === 'a-1,a-2', 'chunks are listed')

  await store.write({
    entries: [['b', 2]],
    removedEntries: ['model https://x/ä/', 'none'],
    removedChunks: ['a-1', 'none'],
  })
  expect((await store.entryKeys()).join() === 'b', 'a removed entry is gone, others stay')
  expect((await store.chunkKeys()).join() === 'a-2', 'a removed chunk is gone, others stay')

  await store.clear()
  expect((await store.entryKeys()).length === 0, 'no entry is left after clear')
  expect((await store.readChunk('a-2')) === undefined, 'no chunk is left after clear')
}

function same(found: Uint8Array | undefined, wanted: Uint8Array): boolean {
  return found?.length === wanted.length && found.every((byte, index) => byte === wanted[index])
}
