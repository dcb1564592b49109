import { expect, test } from 'playwright/test'
import type { Manifest, SessionState } from '../../packages/protocol/src/index.ts'
import { SavedSessions } from '../../packages/runtime/src/sessions/saved-sessions.ts'
import type { ChunkStore } from '../../packages/runtime/src/storage/chunk-store.ts'
import { memoryChunkStore } from '../../packages/runtime/src/storage/memory-chunk-store.ts'
import { SessionShelf } from '../../packages/runtime/src/storage/session-shelf.ts'
import { WeightStore } from '../../packages/runtime/src/storage/weight-store.ts'

const LAYOUT = 'fake rows'
const MANIFEST = {
  name: 'model',
  version: '1',
  files: [{ path: 'model.onnx', bytes: 3, sha256: 'a'.repeat(64) }],
} as unknown as Manifest // what else it says does not matter here
const HOLDER = { manifest: MANIFEST, kvLayout: LAYOUT }
const STATE: SessionState = { text: 'abc', tokens: [1, 2, 3], sampling: {}, seed: 5, numAnswers: 2 }
const kvOf = (length: number, seed = 0) => ({
  tokens: [1, 2],
  layout: LAYOUT,
  bytes: Uint8Array.from({ length }, (_, index) => index * 7 + seed),
})

/** Sessions, weights and chunks in one store that lasts; the clock goes on by one with every question. */
function open(chunks: ChunkStore = { ...memoryChunkStore(), kind: 'indexeddb' }, budgetBytes = Infinity) {
  let now = 0
  const weights = new WeightStore(chunks, { budgetBytes, chunkBytes: 100, now: () => ++now })
  return { chunks, weights, sessions: new SavedSessions(new SessionShelf(chunks, weights, () => ++now)) }
}

test('a session comes back as it was saved, also in another visit, and one of the same name takes its place', async () => {
  const { chunks, weights, sessions } = open()
  await sessions.save('a', MANIFEST, STATE, kvOf(1050))
  expect(await weights.usedBytes()).toBeGreaterThan(1050)
  const later = open(chunks)
  const { state, kv } = await later.sessions.open('a', HOLDER, false)
  expect(state).toEqual(STATE)
  expect(kv).toEqual(kvOf(1050))
  await later.sessions.save('a', MANIFEST, { ...STATE, text: 'abcd' }, kvOf(350, 1))
  expect((await later.sessions.open('a', HOLDER, false)).kv).toEqual(kvOf(350, 1))
  expect(await later.weights.usedBytes()).toBeLessThan(600)
  await later.sessions.delete('a')
  expect([await chunks.entryKeys(), await chunks.chunkKeys()]).toEqual([[], []])
})

test('a session that is saved while the one with the same KV is being deleted keeps it', async () => {
  const { chunks, sessions: seed } = open()
  await seed.save('a', MANIFEST, STATE, kvOf(250))
  let saving: Promise<unknown> | undefined
  const { weights, sessions } = open({
    ...chunks,
    async write(change) {
      // What is not needed is known by now, and not gone yet.
      if ((change.removedChunks ?? []).length > 0 && saving === undefined) {
        saving = sessions.save('b', MANIFEST, { ...STATE, text: 'abd' }, kvOf(250))
        await Promise.race([saving, new Promise((resolve) => setTimeout(resolve, 50))])
      }
      await chunks.write(change)
    },
  })
  await sessions.delete('a')
  expect(saving).toBeDefined()
  await saving
  await weights.sweep()
  expect(await sessions.list()).toMatchObject([{ name: 'b', hasKv: true }])
  expect((await sessions.open('b', HOLDER, false)).kv).toEqual(kvOf(250))
})

test('a save that is cut leaves the session that was there', async () => {
  const { chunks, sessions } = open()
  await sessions.save('a', MANIFEST, STATE, kvOf(250))
  const cut = open({ ...chunks, write: () => Promise.reject(new Error('the power went')) })
  await expect(cut.sessions.save('a', MANIFEST, STATE, kvOf(350, 1))).rejects.toMatchObject({
    code: 'storage',
  })
  expect((await open(chunks).sessions.open('a', HOLDER, false)).kv).toEqual(kvOf(250))
})

test('a piece that is gone or wrong is found before anything is given out', async () => {
  for (const change of ['lost', 'wrong']) {
    const { chunks, sessions } = open()
    await sessions.save('a', MANIFEST, STATE, kvOf(250))
    const key = (await chunks.chunkKeys()).find((key) => key.endsWith('-000002'))!
    if (change === 'lost') await chunks.write({ removedChunks: [key] })
    else await chunks.write({ chunks: [[key, new Uint8Array(50)]] })
    // Lost ones are noticed at open, as those of models are.
    const again = open(chunks)
    await expect(again.sessions.open('a', HOLDER, false)).rejects.toMatchObject({ code: 'integrity' })
    expect(await again.sessions.list()).toMatchObject([{ name: 'a', hasKv: false }])
    expect(await again.sessions.open('a', HOLDER, true)).toMatchObject({ state: STATE, kv: undefined })
  }
})

test('another file, version or layout is a mismatch; on wish the text comes without KV, and of another model without tokens', async () => {
  const { sessions } = open()
  await sessions.save('a', MANIFEST, STATE, kvOf(250))
  const [file] = MANIFEST.files
  const others = [
    { ...HOLDER, kvLayout: 'fake blocks' },
    { ...HOLDER, manifest: { ...MANIFEST, version: '2' } },
    { ...HOLDER, manifest: { ...MANIFEST, files: [{ ...file!, sha256: 'b'.repeat(64) }] } },
  ]
  for (const holder of others)
    await expect(sessions.open('a', holder, false)).rejects.toMatchObject({ code: 'session_mismatch' })
  expect(await sessions.open('a', others[0]!, true)).toMatchObject({ state: STATE, kv: undefined })
  expect((await sessions.open('a', others[1]!, true)).state.tokens).toEqual([])
})

test('sessions give way to sessions and to models, the longest unused first; a session never makes a model go', async () => {
  const { chunks, weights, sessions } = open(undefined, 850)
  await sessions.save('a', MANIFEST, STATE, kvOf(200, 1))
  await sessions.save('b', MANIFEST, STATE, kvOf(200, 2))
  await sessions.open('a', HOLDER, false)
  await sessions.save('c', MANIFEST, STATE, kvOf(400, 3))
  const kept = async () =>
    (await sessions.list())
      .filter(({ hasKv }) => hasKv)
      .map(({ name }) => name)
      .toSorted()
  expect(await kept()).toEqual(['a', 'c'])
  expect(await weights.makeRoom(300, 'https://x/')).toBe(true)
  expect(await kept()).toEqual(['c'])

  const file = { sha256: 'f'.repeat(64), bytes: 100 }
  await weights.beginDownload({ address: 'https://x/', id: 'x@1', manifest: '{}', files: [file] })
  await (await weights.file(file)).keep(0, new Uint8Array(100), 'hash', true)
  await weights.finishDownload('https://x/')
  await expect(sessions.save('d', MANIFEST, STATE, kvOf(820, 4))).rejects.toMatchObject({ code: 'storage' })
  expect(await weights.model('https://x/')).toBeDefined()
  // What is left is what somebody needs.
  await weights.remove('https://x/')
  for (const { name } of await sessions.list()) await sessions.delete(name)
  expect([await chunks.entryKeys(), await chunks.chunkKeys()]).toEqual([[], []])
})

test('where nothing lasts, nothing is saved, and it is said', async () => {
  const { sessions } = open(memoryChunkStore())
  await expect(sessions.save('a', MANIFEST, STATE, kvOf(10))).rejects.toMatchObject({ code: 'storage' })
  await expect(open().sessions.save('', MANIFEST, STATE, kvOf(10))).rejects.toMatchObject({
    code: 'bad_request',
  })
})
