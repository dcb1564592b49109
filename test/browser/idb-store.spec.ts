import { test } from './fixtures.ts'

test('the IndexedDB store keeps the promises of WeightStore', async ({ harnessPage }) => {
  await harnessPage.evaluate(() => window.harness.checkIdbStore())
})
