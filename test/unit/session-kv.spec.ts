import { expect, test } from 'playwright/test'
import type { Capabilities } from '../../packages/engine/src/model-runner.ts'
import type { RequestEvent } from '../../packages/protocol/src/index.ts'
import { lastOf, startEngine, tokensOf } from './fake-engine.ts'
import { FakeRunner, continuation } from './fake-runner.ts'

const KINDS: Readonly<Record<string, (places: number) => Partial<Capabilities>>> = {
  rows: (places) => ({ batchedPrefill: true, maxRows: places }),
  blocks: (places) => ({ mixed: true, maxRows: 8, paged: { numBlocks: 6 * places, blockTokens: 16 } }),
}
const ROOM = { maxContext: 96, maxTokensPerStep: 32 }
const list = (length: number, seed = 0) => Array.from({ length }, (_, index) => (index * 7 + seed) % 64)
const cachedOf = (events: readonly RequestEvent[]) => {
  const last = lastOf(events)
  return last.type === 'finish' ? last.usage.cachedTokens : NaN
}

for (const [name, kind] of Object.entries(KINDS)) {
  test(`${name}: what a session keeps outlives other texts until memory demands it; then it is computed again in silence`, async () => {
    const { ask, engine } = startEngine({ ...ROOM, ...kind(2) })
    await ask({ tokens: list(50), maxTokens: 0, session: 'a' })
    for (let seed = 1; seed < 6; seed++) await ask({ tokens: list(60, seed), maxTokens: 2 })
    const kept = await ask({ tokens: [...list(50), 9], maxTokens: 3, session: 'a' })
    expect(cachedOf(kept)).toBe(50)
    // Two that grow at once leave no other place.
    const growing = [11, 13].map((seed) => ask({ tokens: list(60, seed), maxTokens: 30 }))
    await Promise.all(growing)
    const lost = await ask({ tokens: [...list(50), 9], maxTokens: 3, session: 'a' })
    expect(cachedOf(lost)).toBeLessThan(16)
    expect(tokensOf(lost)).toEqual(tokensOf(kept))
    engine.check()
  })

  test(`${name}: a released session's KV gives way like any other`, async () => {
    const { ask, engine } = startEngine({ ...ROOM, ...kind(2) })
    await ask({ tokens: list(50), maxTokens: 0, session: 'a' })
    engine.releaseSession('a')
    for (let seed = 1; seed < 6; seed++) await ask({ tokens: list(60, seed), maxTokens: 2 })
    expect(cachedOf(await ask({ tokens: list(50), maxTokens: 1 }))).toBe(0)
  })

  test(`${name}: a prompt without an answer is read once, and its continuation computes what is new, to the token`, async () => {
    const { ask, runner } = startEngine({ ...ROOM, ...kind(3) })
    const read = await ask({ tokens: list(33), maxTokens: 0, session: 'a' })
    expect(lastOf(read)).toMatchObject({
      type: 'finish',
      choices: [{ reason: 'length' }],
      usage: { promptTokens: 33, completionTokens: 0 },
    })
    const before = runner.numComputed
    const answer = await ask({ tokens: [...list(33), 5], maxTokens: 1, session: 'a' })
    expect(cachedOf(answer)).toBe(33)
    expect(runner.numComputed - before).toBe(1)
    expect(tokensOf(answer)).toEqual(continuation([...list(33), 5], 1))
  })

  test(`${name}: two that share KV go their own ways, and neither spoils the other's`, async () => {
    const { ask, engine } = startEngine({ ...ROOM, ...kind(4) })
    await ask({ tokens: list(41), maxTokens: 0, session: 'a' })
    engine.shareSession('a', 'b')
    const left = await ask({ tokens: [...list(41), 1], maxTokens: 20, session: 'b' })
    const right = await ask({ tokens: [...list(41), 2], maxTokens: 20, session: 'a' })
    expect([cachedOf(left), cachedOf(right)]).toEqual([41, 41])
    expect(tokensOf(left)).toEqual(continuation([...list(41), 1], 20))
    expect(tokensOf(right)).toEqual(continuation([...list(41), 2], 20))
    engine.check()
  })

  test(`${name}: KV that one engine reads another writes: one token is computed before the first new one`, async () => {
    const first = startEngine({ ...ROOM, ...kind(2) })
    const answer = await first.ask({ tokens: list(30), maxTokens: 20, session: 'a' })
    const text = [...list(30), ...tokensOf(answer)]
    const kv = await first.engine.readSession('a', text)
    // The last token drawn was never read.
    expect(kv?.tokens).toEqual(text.slice(0, -1))
    expect([...new Int32Array(kv!.bytes.buffer)]).toEqual(text.slice(0, -1))

    const second = startEngine({ ...ROOM, ...kind(2) })
    await second.engine.writeSession('b', '', kv!)
    second.engine.check()
    const onward = await second.ask({ tokens: text, maxTokens: 10, session: 'b' })
    expect(cachedOf(onward)).toBe(text.length - 1)
    expect(tokensOf(onward)).toEqual(continuation(text, 10))
    expect(second.runner.numComputed).toBe(10)
    await expect(second.engine.writeSession('c', '', { ...kv!, bytes: kv!.bytes.slice(4) })).rejects.toThrow(
      'another length',
    )
    second.engine.check()
  })

  test(`${name}: KV from elsewhere waits while every place is in use, and goes before those who wait`, async () => {
    const { ask, engine, runner } = startEngine({ ...ROOM, ...kind(1) })
    const running = ask({ tokens: list(70), maxTokens: 20 })
    while (engine.stats().running === 0) await new Promise((resolve) => setImmediate(resolve))
    const waiting = ask({ tokens: list(70, 9), maxTokens: 20 })
    const tokens = list(60, 3)
    const bytes = new Uint8Array(Int32Array.from(tokens).buffer)
    await engine.writeSession('a', '', { tokens, layout: runner.kvLayout, bytes })
    expect(engine.stats().finished.length).toBe(1)
    await Promise.all([running, waiting])
    engine.check()
  })

  test(`${name}: salts are kept apart, also what comes from elsewhere`, async () => {
    const { ask, engine, runner } = startEngine({ ...ROOM, ...kind(3) })
    const tokens = list(40)
    const bytes = new Uint8Array(Int32Array.from(tokens).buffer)
    await engine.writeSession('a', 'salt', { tokens, layout: runner.kvLayout, bytes })
    expect(cachedOf(await ask({ tokens, maxTokens: 1 }))).toBe(0)
    expect(cachedOf(await ask({ tokens, maxTokens: 1, cacheSalt: 'salt' }))).toBe(39)
  })
}

test('a device that is lost takes what sessions keep with it; who reads it hears that there is nothing', async () => {
  const { ask, engine, runner } = startEngine(
    { ...ROOM, maxRows: 2 },
    {},
    async () => new FakeRunner({ ...ROOM, maxRows: 2 }),
  )
  await ask({ tokens: list(20), maxTokens: 0, session: 'a' })
  runner.loseAt = 0
  expect(await engine.readSession('a', list(20))).toBeUndefined()
  expect(engine.stats().losses).toBe(1)
  expect(tokensOf(await ask({ tokens: list(20), maxTokens: 5, session: 'a' }))).toEqual(
    continuation(list(20), 5),
  )
})

test('an engine that is disposed of, or lost for good, answers everybody who waits for KV', async () => {
  const lost = startEngine({ ...ROOM, maxRows: 2 })
  await lost.ask({ tokens: list(20), maxTokens: 0, session: 'a' })
  lost.runner.loseAt = 0
  await expect(lost.engine.readSession('a', list(20))).rejects.toMatchObject({ code: 'device_lost' })
  await expect(lost.engine.readSession('a', list(20))).rejects.toMatchObject({ code: 'device_lost' })
})
