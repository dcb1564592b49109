import { test } from 'playwright/test'
import { memoryChunkStore } from '../../packages/runtime/src/storage/memory-chunk-store.ts'
import { checkChunkStore } from '../conformance/chunk-store.ts'
import { checkWeightStore } from '../conformance/weight-store.ts'

test('the memory store keeps the promises of ChunkStore', () => checkChunkStore(memoryChunkStore()))

test('the weight store keeps its promises in memory', () => {
  const store = memoryChunkStore()
  return checkWeightStore(() => store)
})
