import { expect, test } from 'playwright/test'
import type { RolloutEvent, RolloutOptions } from '../../packages/client/src/control/rollout.ts'
import type { Told } from './fake-control.ts'
import { lastWords, startControl } from './fake-control.ts'

const RAMP = { alias: 'chat', to: 'm@2', steps: [5, 50, 100], holdMs: 1000 } as const

/** An alias `chat` at `m@1`, under a request every two milliseconds. */
async function startRollout(change: Partial<RolloutOptions> = {}) {
  const parts = await startControl()
  const { control, clock, ask } = parts
  control.setAlias('chat', { traffic: { 'm@1': 100 } })
  const events: RolloutEvent[] = []
  const rollout = await control.rollout({ ...RAMP, onEvent: (event) => events.push(event), ...change })
  const told: Told[] = []
  const runFor = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 2) {
      told.push(ask('chat', { stickyKey: `user-${told.length % 400}` }))
      await clock.advance(2)
    }
  }
  return { ...parts, rollout, events, told, runFor }
}

test('a ramp of 5, 50 and 100 % loses no request, then the old version is drained and unloaded', async () => {
  const { clock, rollout, events, told, runFor, host, control } = await startRollout()
  expect(rollout.status).toMatchObject({ from: 'm@1', phase: 'initializing', weight: 0 })
  await runFor(3600)
  await clock.advance(1000)
  expect(await rollout.finished).toMatchObject({ phase: 'succeeded', weight: 100 })
  expect(events.map(({ type, weight }) => `${type} ${weight}`)).toEqual([
    'rollout-warm 0',
    'rollout-step 5',
    'rollout-step 50',
    'rollout-step 100',
    'rollout-promote 100',
    'rollout-finish 100',
  ])
  for (const each of told)
    expect(lastWords(each)).toMatchObject([{ type: 'finish', choices: [{ reason: 'stop' }] }])
  expect(host.calls).toEqual(['load m@1', 'load m@2', 'unload m@1'])
  expect(control.aliases().get('chat')).toEqual({ traffic: { 'm@2': 100 } })
})

test('in every step the new version has its share, and no key goes back', async () => {
  const { told, runFor, control, clock } = await startRollout()
  await clock.advance(100)
  const versions = new Map<string, string[]>()
  await runFor(3000)
  told.forEach(({ servers }, index) => {
    const key = `user-${index % 400}`
    versions.set(key, [...(versions.get(key) ?? []), servers[0]?.model ?? ''])
  })
  for (const met of versions.values()) expect(met).toEqual([...met].sort())
  const share = (from: number, to: number) =>
    told.slice(from, to).filter(({ servers }) => servers[0]?.model === 'm@2').length / (to - from)
  expect(share(0, 400)).toBeGreaterThan(0.01)
  expect(share(0, 400)).toBeLessThan(0.1)
  expect(share(550, 950)).toBeGreaterThan(0.4)
  expect(share(550, 950)).toBeLessThan(0.6)
  expect(share(1100, 1400)).toBe(1)
  expect(control.reports().find(({ model }) => model === 'm@2')?.errors).toBe(0)
})

test('a new version that fails is rolled back within its step, with the reason, and the old one answers on', async () => {
  const { clock, rollout, events, told, runFor, host, ask } = await startRollout({
    guards: { errorRate: 0.1, minRequests: 5 },
  })
  host.behave('m@2', { failure: () => 'backend_failed' })
  await runFor(1100)
  await clock.advance(1000)
  const status = await rollout.finished
  expect(status).toMatchObject({ phase: 'failed', weight: 0 })
  expect(status.reason).toMatch(
    /^error rate: \d+ of \d+ requests failed \(backend_failed\), allowed are 10 %$/,
  )
  expect(events.map(({ type }) => type)).toEqual([
    'rollout-warm',
    'rollout-step',
    'rollout-rollback',
    'rollout-finish',
  ])
  expect(events[2]).toMatchObject({ reason: status.reason })
  expect(host.calls).toEqual(['load m@1', 'load m@2', 'unload m@2'])
  // Only the few that the canary was there for; each has one last word all the same.
  const numFailed = told.filter((each) => lastWords(each)[0]?.type === 'error').length
  expect(numFailed).toBeGreaterThanOrEqual(5)
  expect(numFailed).toBeLessThan(15)
  for (const each of told) expect(lastWords(each)).toHaveLength(1)
  const after = ask('chat')
  await clock.advance(1000)
  expect(after.servers).toMatchObject([{ model: 'm@1' }])
  expect(lastWords(after)).toMatchObject([{ type: 'finish' }])
})

test('errors at a rate within the guard do not stop it, mistakes of the caller do not count', async () => {
  const { clock, rollout, runFor, host } = await startRollout({ guards: { errorRate: 0.1 } })
  let asked = 0
  host.behave('m@2', { failure: () => (asked++ % 2 === 0 ? 'bad_request' : undefined) })
  await runFor(3600)
  await clock.advance(1000)
  expect(await rollout.finished).toMatchObject({ phase: 'succeeded' })
})

const SLOW = [
  [
    'a late first token',
    { ttftMs: 200 },
    { ttftMs: 100 },
    /^time to first token: p95 ≥ 10\d ms, allowed are 100 ms$/,
  ],
  [
    'a late first token against the old version',
    { ttftMs: 200 },
    { ttftRatio: 3 },
    /^time to first token: p95 ≥ \d+ ms, allowed are 3 × the old version's 20 ms$/,
  ],
  [
    'slow tokens',
    { interTokenMs: 40 },
    { interTokenMs: 20 },
    /^inter-token latency: p95 (≥ )?40 ms, allowed are 20 ms$/,
  ],
  [
    'slow tokens against the old version',
    { interTokenMs: 40 },
    { interTokenRatio: 2 },
    /^inter-token latency: p95 (≥ )?40 ms, allowed are 2 × the old version's 5 ms$/,
  ],
  // Judged while they wait: they never end.
  [
    'requests that hang before their first token',
    { ttftMs: 1e9 },
    { ttftMs: 100 },
    /^time to first token: p95 ≥ 1\d\d/,
  ],
  [
    'requests that hang between tokens',
    { interTokenMs: 1e9 },
    { interTokenMs: 100 },
    /^inter-token latency: p95 ≥ 1\d\d/,
  ],
] as const
for (const [what, behaviour, guards, reason] of SLOW) {
  test(`a new version with ${what} is rolled back within its step`, async () => {
    const { rollout, runFor, host } = await startRollout({ guards: { minRequests: 5, ...guards } })
    host.behave('m@2', behaviour)
    await runFor(1100)
    expect(rollout.status).toMatchObject({ phase: expect.stringMatching(/finalising|failed/), weight: 0 })
    expect(rollout.status.reason).toMatch(reason)
  })
}

test('trouble at 50 % is noticed though 5 % went well', async () => {
  const { rollout, runFor, host } = await startRollout({ guards: { ttftMs: 100 } })
  await runFor(1300)
  expect(rollout.status.weight).toBe(50)
  host.behave('m@2', { ttftMs: 300 })
  await runFor(1000)
  expect(rollout.status.weight).toBe(0)
})

test('a step is not left before enough requests have ended in it, and a deadline ends that', async () => {
  const { clock, rollout } = await startRollout({ guards: { minRequests: 5 }, progressDeadlineMs: 5000 })
  await clock.advance(4000)
  expect(rollout.status).toMatchObject({ phase: 'progressing', weight: 5 })
  await clock.advance(2000)
  expect(await rollout.finished).toMatchObject({
    phase: 'failed',
    reason: 'progress deadline: 0 of 5 requests ended at 5 % within 5000 ms',
  })
})

test('a new version that does not load changes nothing', async () => {
  const { control, clock, host } = await startControl()
  host.behave('m@2', { loadError: 'integrity' })
  control.setAlias('chat', { traffic: { 'm@1': 100 } })
  const rollout = await control.rollout(RAMP)
  await clock.advance(1000)
  expect(await rollout.finished).toMatchObject({
    phase: 'failed',
    reason: 'the new version did not load: m@2 does not load.',
  })
  expect(control.aliases().get('chat')).toEqual({ traffic: { 'm@1': 100 } })
  expect(host.loaded).toEqual(['m@1'])
})

test('while a version is on trial, its model’s name alone does not lead to it', async () => {
  const { clock, ask } = await startRollout()
  await clock.advance(200)
  expect(ask('m').servers).toMatchObject([{ model: 'm@1' }])
  expect(ask('m@2').servers).toMatchObject([{ model: 'm@2' }])
})

test('where memory cannot hold both, that is said before anything is loaded', async () => {
  const { control, host } = await startControl({ rolloutBudgetBytes: 2900 })
  control.setAlias('chat', { traffic: { 'm@1': 100 } })
  const error = await control.rollout(RAMP).catch((error: unknown) => error)
  expect(error).toMatchObject({ code: 'memory', message: expect.stringContaining('m@2 needs about') })
  expect(host.calls).toEqual(['load m@1'])
  control.setAlias('chat', { traffic: { 'm@1': 50, 'm@2': 50 } }) // nothing is under way
})

test('promoting and aborting by hand skip the steps', async () => {
  const promoted = await startRollout()
  await promoted.clock.advance(200)
  promoted.rollout.promote()
  await promoted.clock.advance(100)
  expect(await promoted.rollout.finished).toMatchObject({ phase: 'succeeded' })
  expect(promoted.host.loaded).toEqual(['m@2'])
  const aborted = await startRollout()
  aborted.rollout.abort('changed my mind') // while it loads
  await aborted.clock.advance(1000)
  expect(await aborted.rollout.finished).toMatchObject({ phase: 'failed', reason: 'changed my mind' })
  expect(aborted.host.loaded).toEqual(['m@1'])
})

for (const winner of ['m@2', 'm@1'] as const) {
  test(`long answers under way when ${winner} gets all traffic end on the version where they began, then it is unloaded`, async () => {
    const { control, clock, ask, rollout, host } = await startRollout({ steps: [50] })
    await clock.advance(200)
    for (const id of ['m@1', 'm@2']) host.behave(id, { numTokens: 1000 }) // five seconds
    const told = Array.from({ length: 40 }, () => ask('chat'))
    await clock.advance(500)
    if (winner === 'm@2') rollout.promote()
    else rollout.abort()
    await clock.advance(1000)
    expect(host.loaded).toEqual(['m@1', 'm@2'])
    expect(control.directory.list().map(({ state }) => state)).toContain('UNLOADING')
    await clock.advance(5000)
    await rollout.finished
    expect(host.loaded).toEqual([winner])
    expect(new Set(told.map(({ servers }) => servers[0]?.model)).size).toBe(2)
    for (const each of told)
      expect(lastWords(each)).toMatchObject([{ type: 'finish', choices: [{ reason: 'stop' }] }])
  })
}

test('a version that another alias or a default needs is not unloaded', async () => {
  const { clock, control, rollout, host } = await startRollout()
  control.setAlias('other', { traffic: { 'm@1': 1 } })
  await clock.advance(200)
  rollout.promote()
  await clock.advance(100)
  await rollout.finished
  expect(host.loaded).toEqual(['m@1', 'm@2'])
})

test('a version that was loaded before stays loaded when it is rolled back', async () => {
  const { control, clock, host } = await startControl()
  void control.load('m@2', {})
  await clock.advance(100)
  control.setAlias('chat', { traffic: { 'm@1': 100 } })
  const rollout = await control.rollout(RAMP)
  await clock.advance(10)
  rollout.abort()
  await clock.advance(10)
  await rollout.finished
  expect(host.loaded).toEqual(['m@1', 'm@2'])
})

test('an alias that is being moved, or that is split, cannot be rolled out or set', async () => {
  const { control } = await startRollout()
  await expect(control.rollout(RAMP)).rejects.toMatchObject({ code: 'bad_request' })
  expect(() => control.setAlias('chat', { traffic: { 'm@3': 1 } })).toThrow('being rolled out')
  expect(() => control.removeAlias('chat')).toThrow('being rolled out')
  control.setAlias('split', { traffic: { 'm@1': 1, 'm@2': 1 } })
  await expect(control.rollout({ ...RAMP, alias: 'split' })).rejects.toThrow('is split')
})

const BAD: readonly [what: string, change: object, words: string][] = [
  ['steps that fall', { steps: [50, 5] }, 'must rise'],
  ['a step above 100', { steps: [101] }, 'must rise'],
  ['no step', { steps: [] }, 'must rise'],
  ['an unknown guard', { guards: { latency: 3 } }, 'no option latency'],
  ['an error rate of 5', { guards: { errorRate: 5 } }, 'errorRate'],
  ['a hold that is no number', { holdMs: '1m' }, 'holdMs'],
  ['an unknown option', { hold: 1000 }, 'no option hold'],
  ['a version that is not known', { to: 'm@9' }, 'm@9 is not known'],
  ['the version that it has', { to: 'm@1' }, 'is at m@1 already'],
  ['an alias that there is not', { alias: 'talk' }, 'no alias talk'],
]
for (const [what, change, words] of BAD) {
  test(`a rollout with ${what} is refused, and another can begin`, async () => {
    const { control } = await startControl()
    control.setAlias('chat', { traffic: { 'm@1': 100 } })
    await expect(control.rollout({ ...RAMP, ...change } as RolloutOptions)).rejects.toThrow(words)
    await control.rollout(RAMP)
  })
}

test('a lost worker ends a rollout where it began', async () => {
  const { control, clock, rollout } = await startRollout()
  await clock.advance(200)
  control.lost()
  await clock.advance(10)
  expect(await rollout.finished).toMatchObject({ phase: 'failed', reason: 'the worker was lost' })
  expect(control.directory.list().map(({ state }) => state)).toEqual(Array(3).fill('UNAVAILABLE'))
})
