import { test } from './fixtures.ts'

for (const kind of ['indexeddb', 'opfs'] as const) {
  test(`the weight store, and the chunk store below it, keep their promises in ${kind}`, async ({
    harnessPage,
  }) => {
    await harnessPage.evaluate((kind) => window.harness.checkStore(kind), kind)
  })
}
