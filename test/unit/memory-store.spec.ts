import { test } from 'playwright/test'
import { memoryStore } from '../../packages/runtime/src/storage/memory-store.ts'
import { checkWeightStore } from '../conformance/weight-store.ts'

test('the memory store keeps the promises of WeightStore', () => checkWeightStore(memoryStore()))
