import { expect, test } from 'playwright/test'
import { AliasTable } from '../../packages/client/src/control/alias-table.ts'
import { chooseVersion } from '../../packages/client/src/control/traffic-split.ts'
import { Random } from '../../packages/engine/src/random.ts'
import { lastWords, startControl } from './fake-control.ts'

const TEN = { 'm@1': 90, 'm@2': 10 }
const NUM_REQUESTS = 10_000
const SHARE = 0.1
/** Standard deviations of a binomial distribution. */
const THREE_SIGMA = 3 * Math.sqrt(NUM_REQUESTS * SHARE * (1 - SHARE))

const KEYS: readonly [what: string, key: (index: number) => string][] = [
  ['counted users', (index) => `user-${index}`],
  ['bare numbers', (index) => String(index)],
  ['mail addresses', (index) => `someone.${index * 7919}@example.org`],
  ['keys that differ in front', (index) => `${index}-session`],
]
for (const [what, key] of KEYS) {
  test(`of ${NUM_REQUESTS} requests with ${what} as keys, 10 % go to the new version, within three standard deviations`, () => {
    const aliases = new AliasTable(() => 0)
    aliases.set('chat', { traffic: TEN })
    const numNew = count(NUM_REQUESTS, (index) => aliases.route('chat', key(index))?.model === 'm@2')
    expect(Math.abs(numNew - NUM_REQUESTS * SHARE)).toBeLessThan(THREE_SIGMA)
  })
}

test('without keys the share is as close', () => {
  const random = new Random(3)
  const aliases = new AliasTable(() => random.next())
  aliases.set('chat', { traffic: TEN })
  const numNew = count(NUM_REQUESTS, () => aliases.route('chat', undefined)?.model === 'm@2')
  expect(Math.abs(numNew - NUM_REQUESTS * SHARE)).toBeLessThan(THREE_SIGMA)
})

test('the same key always goes to the same version', () => {
  for (let index = 0; index < 1000; index++) {
    const versions = new Set(
      Array.from({ length: 5 }, () => chooseVersion({ 'm@1': 50, 'm@2': 50 }, 'chat', `user-${index}`)),
    )
    expect(versions.size).toBe(1)
  }
})

test('a key that has met the new version stays with it while its share grows', () => {
  const before = new Set<string>()
  for (const weight of [5, 25, 50, 75, 100]) {
    const traffic = { 'm@1': 100 - weight, 'm@2': weight }
    const chosen = keys(2000).filter((key) => chooseVersion(traffic, 'chat', key) === 'm@2')
    for (const key of before) expect(chosen).toContain(key)
    for (const key of chosen) before.add(key)
  }
  expect(before.size).toBe(2000)
})

test('two experiments split the same keys differently', () => {
  const half = { 'm@1': 50, 'm@2': 50 }
  const both = keys(4000).filter(
    (key) => chooseVersion(half, 'one', key) === 'm@2' && chooseVersion(half, 'other', key) === 'm@2',
  )
  expect(Math.abs(both.length - 1000)).toBeLessThan(3 * Math.sqrt(4000 * 0.25 * 0.75))
})

test('shares are of their sum, also among three versions, and 0 gets nothing', () => {
  const traffic = { 'm@1': 1, 'm@2': 2, 'm@3': 1, 'm@4': 0 }
  const chosen = keys(8000).map((key) => chooseVersion(traffic, 'chat', key))
  const share = (id: string) => chosen.filter((each) => each === id).length / 8000
  expect(share('m@2')).toBeCloseTo(0.5, 1)
  expect(share('m@1')).toBeCloseTo(0.25, 1)
  expect(share('m@4')).toBe(0)
})

test('wrong traffic, names and options are refused', () => {
  const aliases = new AliasTable(() => 0)
  const set = (options: unknown, name = 'chat') => aliases.set(name, options as never)
  expect(() => set({ traffic: {} })).toThrow('at least one version')
  expect(() => set({ traffic: { 'm@1': -1 } })).toThrow('must be a number from 0')
  expect(() => set({ traffic: { m: 1 } })).toThrow('name@version')
  expect(() => set({ traffic: { 'm@1': 1 }, sticky: true })).toThrow('no option sticky')
  expect(() => set({ traffic: { 'm@1': 1 }, shadow: { model: 'm@2', percent: 101 } })).toThrow('percent')
  expect(() => set({ traffic: { 'm@1': 1 } }, 'a@b')).toThrow('must match')
  expect(() => aliases.get('chat')).toThrow('no alias chat')
})

test('a shadow gets a copy behind the real requests; its answers are heard by nobody and its metrics are its own', async () => {
  const { control, clock, ask, host } = await startControl()
  void control.load('m@2', {})
  await clock.advance(100)
  control.setAlias('chat', { traffic: { 'm@1': 100 }, shadow: { model: 'm@2' } })
  host.behave('m@2', { failure: () => 'backend_failed' })
  const told = Array.from({ length: 5 }, () => ask('chat', { priority: 2 }))
  await clock.advance(1000)
  for (const each of told) {
    expect(each.events.every((event) => event.type !== 'delta' || event.text === 'm@1 ')).toBe(true)
    expect(lastWords(each)).toMatchObject([{ type: 'finish' }])
  }
  expect(host.requests.filter(({ model }) => model === 'm@2')).toHaveLength(5)
  expect(host.requests.find(({ model }) => model === 'm@2')).toMatchObject({ priority: 3, preempt: false })
  const report = (model: string, traffic: string) =>
    control.reports().find((each) => each.model === model && each.traffic === traffic)
  expect(report('m@1', 'live')).toMatchObject({ requests: 5, errors: 0, ttftMs: { p50: 20 } })
  expect(report('m@2', 'shadow')).toMatchObject({ requests: 5, errors: 5 })
  expect(report('m@2', 'live')).toMatchObject({ requests: 0 })
})

test('cancelling a request cancels its shadow', async () => {
  const { control, clock, ask } = await startControl()
  void control.load('m@2', {})
  await clock.advance(100)
  control.setAlias('chat', { traffic: { 'm@1': 100 }, shadow: { model: 'm@2' } })
  const told = ask('chat')
  await clock.advance(22)
  told.cancel()
  expect(control.reports().map(({ inFlight }) => inFlight)).toEqual([0, 0, 0, 0])
  expect(lastWords(told)).toMatchObject([{ type: 'finish', choices: [{ reason: 'abort' }] }])
})

test('an alias and a model cannot have the same name', async () => {
  const { control } = await startControl()
  expect(() => control.setAlias('m', { traffic: { 'm@1': 1 } })).toThrow('name of a model')
})

function keys(length: number): string[] {
  return Array.from({ length }, (_, index) => `user-${index}`)
}

function count(length: number, isCounted: (index: number) => boolean): number {
  return Array.from({ length }, (_, index) => isCounted(index)).filter(Boolean).length
}
