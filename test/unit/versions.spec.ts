import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { compareVersions, offeredVersions } from '../../packages/client/src/control/version-policy.ts'
import type { Manifest, ModelIndex } from '../../packages/protocol/src/index.ts'
import { modelIndexProblem } from '../../packages/protocol/src/index.ts'
import { startControl } from './fake-control.ts'

const STORIES = join(import.meta.dirname, '../../models/stories')

test('only positive whole numbers without leading zeros are versions, and they are ordered as numbers', () => {
  expect(offeredVersions(['10', 'x', '2', '03', '1', '0', '-1', '1.5'], { all: {} })).toEqual([
    '1',
    '2',
    '10',
  ])
})

test('a policy offers the newest, the newest n, all, or just these', () => {
  const versions = ['1', '2', '3']
  expect(offeredVersions(versions)).toEqual(['3'])
  expect(offeredVersions(versions, { latest: { numVersions: 2 } })).toEqual(['2', '3'])
  expect(offeredVersions(versions, { latest: { numVersions: 9 } })).toEqual(versions)
  expect(offeredVersions(versions, { all: {} })).toEqual(versions)
  expect(offeredVersions(versions, { specific: { versions: ['3', '1'] } })).toEqual(['1', '3'])
})

test('a version that a policy names must be there, and a policy must be one', () => {
  expect(() => offeredVersions(['1'], { specific: { versions: ['4'] } })).toThrow('no version 4')
  expect(() => offeredVersions(['1'], { latest: { numVersions: 0 } })).toThrow('numVersions')
  expect(() => offeredVersions(['1'], { newest: {} } as never)).toThrow('no kind newest')
  expect(() => offeredVersions(['1'], {} as never)).toThrow('one of')
})

test('versions that are no numbers have an order, too, behind the numbers', () => {
  expect(['b', '10', 'a', '9'].sort(compareVersions)).toEqual(['9', '10', 'a', 'b'])
})

test('the index of the bundled model is right about its versions', () => {
  const index = JSON.parse(readFileSync(join(STORIES, 'index.json'), 'utf8')) as ModelIndex
  expect(modelIndexProblem(index)).toBeUndefined()
  expect(index.versions.map(({ version }) => version)).toEqual(['1', '2'])
  for (const { version, path = '', bytes } of index.versions) {
    const manifest = JSON.parse(readFileSync(join(STORIES, path, 'manifest.json'), 'utf8')) as Manifest
    expect(manifest).toMatchObject({ name: index.name, version })
    expect(manifest.files.reduce((sum, file) => sum + file.bytes, 0)).toBe(bytes)
  }
})

const GOOD = { format: 'tabserve-model-index', formatVersion: 1, name: 'm', versions: [{ version: '1' }] }
const BAD: readonly [what: string, index: unknown, words: string][] = [
  ['no object', [], 'JSON object'],
  ['another format', { ...GOOD, format: 'x' }, '"format"'],
  ['a newer format', { ...GOOD, formatVersion: 2 }, '"formatVersion" 2'],
  ['a name with a slash', { ...GOOD, name: 'a/b' }, '"name"'],
  ['no versions', { ...GOOD, versions: undefined }, '"versions" must be a list'],
  ['a version that is a number', { ...GOOD, versions: [{ version: 1 }] }, 'a string'],
  ['a version twice', { ...GOOD, versions: [{ version: '1' }, { version: '1' }] }, 'twice'],
  [
    'a folder above the index',
    { ...GOOD, versions: [{ version: '1', path: 'a/../../' }] },
    'below the index',
  ],
  ['another host', { ...GOOD, versions: [{ version: '1', path: '//evil/' }] }, 'below the index'],
  ['a folder without a slash', { ...GOOD, versions: [{ version: '1', path: 'v1' }] }, 'below the index'],
  ['a size below nothing', { ...GOOD, versions: [{ version: '1', bytes: -1 }] }, '"bytes" of version 1'],
  ['an unknown policy', { ...GOOD, versionPolicy: { newest: {} } }, 'no kind newest'],
]
for (const [what, index, words] of BAD) {
  test(`an index with ${what} is refused`, () => {
    expect(modelIndexProblem(index)).toContain(words)
  })
}

test('a name alone goes to the newest version that is ready, until a default is set', async () => {
  const { control, clock, ask } = await startControl()
  expect(ask('m').servers).toEqual([{ where: 'local', model: 'm@1' }])
  void control.load('m@3', {})
  await clock.advance(100)
  expect(ask('m').servers).toEqual([{ where: 'local', model: 'm@3' }])
  control.directory.setDefault('m', '1')
  expect(ask('m').servers).toEqual([{ where: 'local', model: 'm@1' }])
  expect(ask('m@3').servers).toEqual([{ where: 'local', model: 'm@3' }])
  expect(() => control.directory.setDefault('m', '4')).toThrow('m@4 is not known')
})

test('the index says of every version in which state it is, and why a load failed', async () => {
  const { control, clock, host } = await startControl()
  host.behave('m@2', { loadError: 'backend_failed' })
  const failing = control.load('m@2', {}).catch((error: unknown) => error)
  const states = () => control.directory.list().map(({ id, state }) => `${id} ${state}`)
  expect(states()).toEqual(['m@1 READY', 'm@2 LOADING', 'm@3 UNAVAILABLE'])
  await clock.advance(100)
  expect(await failing).toMatchObject({ code: 'backend_failed' })
  expect(control.directory.list()[1]).toMatchObject({
    state: 'UNAVAILABLE',
    reason: { code: 'backend_failed' },
  })
  await control.unload('m@1', false)
  expect(states()[0]).toBe('m@1 UNAVAILABLE')
})

test('a loaded version outlives its index, and is forgotten when it is unloaded', async () => {
  const { control } = await startControl()
  control.directory.unregister('m')
  expect(control.directory.list().map(({ id }) => id)).toEqual(['m@1'])
  await control.unload('m', false)
  expect(control.directory.list()).toEqual([])
  expect(() => control.directory.unregister('m')).toThrow('not known')
})

test('draining before an unload lets every answer end', async () => {
  const { control, clock, ask, host } = await startControl()
  const told = ask('m@1')
  const unloading = control.unload('m@1', true)
  await clock.advance(25)
  expect(host.loaded).toEqual(['m@1'])
  await clock.advance(1000)
  await unloading
  expect(told.events.at(-1)).toMatchObject({ type: 'finish' })
  expect(host.loaded).toEqual([])
})

test('a model beyond the memory budget is refused before it is fetched', async () => {
  const { control, host } = await startControl({ budgetBytes: 2000 })
  host.behave('m@2', { fileBytes: 600 })
  const error = await control.load('m@2', {}).catch((error: unknown) => error)
  expect(error).toMatchObject({ code: 'memory' })
  expect(host.calls).toEqual(['load m@1'])
  expect(control.directory.failure('m@2')).toMatchObject({ code: 'memory' })
})

test('every replica counts, those of a load, of a rollout and of scaling', async () => {
  const { control, host } = await startControl({ budgetBytes: 6000, rolloutBudgetBytes: 6000 })
  const twice = await control.load('m@2', { replicas: 5 }).catch((error: unknown) => error)
  expect(twice).toMatchObject({ code: 'memory', message: expect.stringContaining('m@2 needs') })
  await expect(control.checkScale('m', 5)).rejects.toMatchObject({ code: 'memory' })
  expect(await control.checkScale('m', 4)).toBe('m@1')
  host.scale('m@1', 4)
  control.setAlias('chat', { traffic: { 'm@1': 100 } })
  const rollout = await control.rollout({ alias: 'chat', to: 'm@2' }).catch((error: unknown) => error)
  expect(rollout).toMatchObject({ code: 'memory' }) // beside four of 1500
  host.scale('m@1', 3)
  const two = await control
    .rollout({ alias: 'chat', to: 'm@2', load: { replicas: 2 } })
    .catch((error) => error)
  expect(two).toMatchObject({ code: 'memory' })
  expect(host.calls).toEqual(['load m@1'])
})

test('what other tabs have loaded counts too, every replica of it, and a model that is there already counts once', async () => {
  const { control, host, clock } = await startControl({ budgetBytes: 3900 })
  const elsewhere = host.load({ url: 'https://models.test/m/3/' }, {})
  await clock.advance(100)
  await elsewhere
  const refused = await control.load('m@2', {}).catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'memory', message: expect.stringContaining('m@1, m@3') })
  await expect(control.checkScale('m@1', 2)).rejects.toMatchObject({ code: 'memory' })
  host.scale('m@3', 2)
  const full = await control.load('m@1', {}).catch((error: unknown) => error)
  expect(full).toMatchObject({ code: 'memory', message: expect.stringContaining('beside 1 MB of m@3') })
  host.scale('m@3', 1)
  for (const source of ['m@3', 'https://models.test/m/3/']) {
    const again = control.load(source, {})
    await clock.advance(100)
    expect(await again).toMatchObject({ id: 'm@3' })
  }
})

test('a model that turns out beyond the budget once it is loaded is unloaded again', async () => {
  const { control, clock, host } = await startControl({ budgetBytes: 2600 })
  host.behave('m@2', { fileBytes: 1000, kvBytes: 500 })
  const loading = control.load('m@2', {}).catch((error: unknown) => error)
  await clock.advance(100)
  expect(await loading).toMatchObject({ code: 'memory' })
  expect(host.loaded).toEqual(['m@1'])
})

test('a model that sleeps leaves its memory to others, and is refused when they have taken it', async () => {
  const { clock, control, host } = await startControl({ budgetBytes: 2000 })
  const load = async (id: string) => {
    const loading = control.load(id, {})
    loading.catch(() => {}) // whoever awaits it hears
    await clock.advance(100)
    return loading
  }
  await expect(load('m@2')).rejects.toMatchObject({ code: 'memory' })
  host.putToSleep('m@1', { level: 1, arriving: 'wake' }) // a request may bring it back at any time
  await expect(load('m@2')).rejects.toMatchObject({ code: 'memory' })
  host.putToSleep('m@1', { level: 1, arriving: 'wait' })
  await load('m@2')
  await expect(control.checkWake('m@1')).rejects.toMatchObject({ code: 'memory' })
  await control.unload('m@2', false)
  expect(await control.checkWake('m@1')).toBe('m@1')
  host.putToSleep('m@1', undefined)
  await expect(load('m@2')).rejects.toMatchObject({ code: 'memory' })
})
