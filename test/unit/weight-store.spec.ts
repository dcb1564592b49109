import { createHash } from 'node:crypto'
import { expect, test } from 'playwright/test'
import { memoryChunkStore } from '../../packages/runtime/src/storage/memory-chunk-store.ts'
import { WeightStore } from '../../packages/runtime/src/storage/weight-store.ts'
import { checkChunkStore } from '../conformance/chunk-store.ts'
import { checkWeightStore } from '../conformance/weight-store.ts'

test('the memory store keeps the promises of ChunkStore', () => checkChunkStore(memoryChunkStore()))

test('the weight store keeps its promises in memory', () => {
  const store = memoryChunkStore()
  return checkWeightStore(() => store)
})

test('a download that ends between the looks of a sweep keeps its files', async () => {
  const chunks = memoryChunkStore()
  const bytes = new Uint8Array(10).fill(7)
  const sha256 = createHash('sha256').update(bytes).digest('hex')
  const address = 'https://x/one/'
  const setUp = new WeightStore(chunks)
  await setUp.beginDownload({ address, id: 'one@1', manifest: '{}', files: [{ bytes: 10, sha256 }] })
  const file = await setUp.file({ bytes: 10, sha256 })
  await file.keep(0, bytes, sha256, true)
  let ending: Promise<void> | undefined
  let numLooks = 0
  const store = new WeightStore({
    ...chunks,
    async entryKeys() {
      // After the records of models, before those of downloads.
      if (++numLooks === 3) {
        ending = store.finishDownload(address)
        await Promise.race([ending, new Promise((resolve) => setTimeout(resolve, 50))])
      }
      return chunks.entryKeys()
    },
  })
  await store.sweep()
  expect(ending).toBeDefined()
  await ending
  expect((await store.file({ bytes: 10, sha256 })).isWhole).toBe(true)
})
