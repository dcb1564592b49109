import { expect, test } from 'playwright/test'
import type { AskRemote } from '../../packages/client/src/control/dispatcher.ts'
import { Grant } from '../../packages/client/src/grant/grant.ts'
import type { GrantedClient } from '../../packages/client/src/grant/granted-client.ts'
import { connect } from '../../packages/client/src/grant/granted-client.ts'
import { startControl } from './fake-control.ts'

/** A page with `m@1`, as `startControl` has it, `chat` at it, and somebody who may ask some names. */
async function startGranted(models: readonly string[], askRemote?: AskRemote) {
  const page = await startControl(askRemote === undefined ? {} : { askRemote })
  page.control.setAlias('chat', { traffic: { 'm@1': 100 } })
  const grant = new Grant(
    {
      control: page.control,
      submit: (...asked) => page.control.submit(...asked),
      list: async () => page.control.directory.loaded(),
    },
    { models },
  )
  return { ...page, grant, granted: connect(grant.port) }
}

/** What becomes of one request of the holder. */
function ask(granted: GrantedClient, model: string, stickyKey?: string): Promise<string> {
  const key = stickyKey === undefined ? {} : { stickyKey }
  return granted.generate({ model, prompt: 'a', ...key }).then(
    ({ servedBy, finishReason }) => `${servedBy.model} ${finishReason}`,
    ({ code }: { code: string }) => code,
  )
}

/** Turns the clock until something has come to its end: what crosses ports needs no clock. */
async function until<T>(clock: { advance(ms: number): Promise<void> }, work: Promise<T>): Promise<T> {
  let isOver = false
  void work.then(() => (isOver = true))
  while (!isOver) await clock.advance(10)
  return work
}

test('what is granted goes by aliases and their traffic, keys stay with their version, and both are counted', async () => {
  const { control, clock, grant, granted } = await startGranted(['chat'])
  await until(clock, control.load('m@2', {}))
  control.setAlias('chat', { traffic: { 'm@1': 50, 'm@2': 50 } })
  const keys = Array.from({ length: 40 }, (_, index) => `user ${index}`)
  const first = await until(clock, Promise.all(keys.map((key) => ask(granted, 'chat', key))))
  const [ones, twos] = ['m@1 stop', 'm@2 stop'].map(
    (wanted) => first.filter((said) => said === wanted).length,
  )
  expect(ones! + twos!).toBe(16) // as many as a grant has open at once; the others are refused
  expect(Math.min(ones!, twos!)).toBeGreaterThan(2)
  const again = await until(clock, Promise.all(keys.slice(0, 16).map((key) => ask(granted, 'chat', key))))
  expect(again).toEqual(first.slice(0, 16))
  const live = control.reports().filter(({ traffic }) => traffic === 'live')
  expect(live.map(({ model, requests }) => [model, requests])).toEqual([
    ['m@1', 2 * ones!],
    ['m@2', 2 * twos!],
  ])
  grant.revoke()
})

test('a rollout judges by what is granted, and waits for it before the old version goes', async () => {
  const { control, clock, host, grant, granted } = await startGranted(['chat'])
  host.behave('m@1', { numTokens: 200, interTokenMs: 50 })
  const long = ask(granted, 'chat')
  await expect.poll(() => host.requests.length).toBe(1)
  const rollout = await control.rollout({
    alias: 'chat',
    to: 'm@2',
    steps: [100],
    holdMs: 100,
    guards: { minRequests: 3 },
  })
  while (rollout.status.phase === 'initializing') await clock.advance(10)
  for (let index = 0; index < 3; index++) expect(await until(clock, ask(granted, 'chat'))).toBe('m@2 stop')
  while (rollout.status.phase === 'progressing') await clock.advance(10)
  expect(rollout.status.phase).toBe('finalising')
  expect(host.loaded).toEqual(['m@1', 'm@2'])
  expect(await until(clock, long)).toBe('m@1 stop')
  expect(await until(clock, rollout.finished)).toMatchObject({ phase: 'succeeded' })
  expect(host.loaded).toEqual(['m@2'])
  grant.revoke()
})

test('a server may answer what is granted where it may answer the page, and the holder is told', async () => {
  const asked: string[] = []
  const { control, clock, host, grant, granted } = await startGranted(['chat'], (fallback, request, take) => {
    asked.push(`${fallback.model} ${request.prompt}`)
    take({ type: 'delta', choice: 0, text: 'far away', tokens: [] })
    take({
      type: 'finish',
      choices: [{ reason: 'stop' }],
      usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 2 },
      timing: { queueMs: 0, firstTokenMs: 0, totalMs: 0 },
    })
    return () => {}
  })
  const fallback = { protocol: 'openai', url: 'https://far.test/v1', model: 'big' } as const
  control.setAlias('chat', { traffic: { 'm@1': 100 }, fallback })
  host.behave('m@1', { failure: () => 'queue_full' })
  const generation = granted.generate({ model: 'chat', prompt: 'a' })
  const { text, servedBy } = await until(clock, Promise.resolve(generation))
  expect({ text, servedBy, asked }).toEqual({
    text: 'far away',
    servedBy: { where: 'remote', model: 'big', alias: 'chat', url: fallback.url, reason: 'overload' },
    asked: ['big a'],
  })
  grant.revoke()
})

test('a name that was not granted is refused, what hides behind a granted alias too', async () => {
  const { clock, host, grant, granted } = await startGranted(['chat'])
  for (const name of ['m', 'm@1', 'nothing', 'constructor'])
    expect(await until(clock, ask(granted, name))).toBe('not_allowed')
  expect(host.requests).toEqual([])
  expect(await until(clock, granted.list())).toMatchObject([{ id: 'chat' }])
  grant.revoke()
  const every = await startGranted(['m'])
  for (const name of ['m', 'm@1']) expect(await until(every.clock, ask(every.granted, name))).toBe('m@1 stop')
  expect(await until(every.clock, ask(every.granted, 'chat'))).toBe('not_allowed')
  every.grant.revoke()
})

test('taking a grant back ends what it has asked, and nothing is asked any more', async () => {
  const { clock, host, control, grant, granted } = await startGranted(['m'])
  const [running, other] = [ask(granted, 'm'), ask(granted, 'm')]
  await expect.poll(() => host.requests.length).toBe(2)
  grant.revoke()
  expect(await until(clock, Promise.all([running, other]))).toEqual(['not_allowed', 'not_allowed'])
  expect(control.reports()).toMatchObject([{ model: 'm@1', inFlight: 0, requests: 2 }, {}])
  expect(await until(clock, ask(granted, 'm'))).toBe('not_allowed')
  expect(host.requests).toHaveLength(2)
})

test('a request that the holder cancels ends with what it has; one cancelled before it is sent computes nothing', async () => {
  const { clock, grant, granted } = await startGranted(['m'])
  const abort = new AbortController()
  const generation = granted.generate({ model: 'm', prompt: 'a', signal: abort.signal })
  const read = async () => {
    for await (const _ of generation) abort.abort()
    return generation
  }
  const { tokens, finishReason } = await until(clock, read())
  expect({ finishReason, hasSome: tokens.length > 0 && tokens.length < 4 }).toEqual({
    finishReason: 'abort',
    hasSome: true,
  })
  const late = granted.generate({ model: 'm', prompt: 'a', signal: abort.signal })
  expect(await until(clock, Promise.resolve(late))).toMatchObject({ tokens: [], finishReason: 'abort' })
  grant.revoke()
})
