import type { WeightStore } from '../../packages/runtime/src/index.ts'

/** Throws at the first promise of `WeightStore` that a store does not keep. Plain code, so that it runs in a page as in Node. */
export async function checkWeightStore(store: WeightStore): Promise<void> {
  const small = Uint8Array.of(1, 2, 3)
  const large = new Uint8Array(40 * 1024 * 1024).map((_, index) => index * 31)
  const view = new Uint8Array(large.buffer, 5, 1000)

  expect((await store.readFile('a')) === undefined, 'what was never written is not there')
  await store.writeFile('a', small)
  await store.writeFile('b', large)
  await store.writeFile('c', view)
  expect(same(await store.readFile('a'), small), 'a small file comes back')
  expect(same(await store.readFile('b'), large), 'a file of several chunks comes back')
  expect(same(await store.readFile('c'), view), 'of a view, only the view is kept')

  await store.writeManifest('https://x/one/', 'one')
  await store.writeManifest('https://x/two/', 'two')
  expect((await store.readManifest('https://x/one/')) === 'one', 'a manifest comes back')
  expect((await store.readManifest('https://x/none/')) === undefined, 'an unknown manifest is not there')
  expect(
    (await store.listManifests()).toSorted().join() === 'https://x/one/,https://x/two/',
    'manifests are listed',
  )

  await store.remove('https://x/one/', ['b'])
  expect((await store.readFile('b')) === undefined, 'a removed file is gone')
  expect(same(await store.readFile('a'), small), 'other files stay')
  expect((await store.listManifests()).join() === 'https://x/two/', 'other manifests stay')

  await store.clear()
  expect((await store.readFile('a')) === undefined, 'nothing is left after clear')
  expect((await store.listManifests()).length === 0, 'no manifest is left after clear')
}

function same(found: Uint8Array | undefined, wanted: Uint8Array): boolean {
  return found?.length === wanted.length && found.every((byte, index) => byte === wanted[index])
}

function expect(kept: boolean, promise: string): void {
  if (!kept) throw new Error(`the store does not keep its promise: ${promise}`)
}
