import { expect, test } from 'playwright/test'
import type { RequestEvent } from '../../packages/protocol/src/index.ts'
import type { Asked } from './fake-engine.ts'
import { lastOf, prompt, startEngine, tokensOf } from './fake-engine.ts'
import { continuation } from './fake-runner.ts'

const ROOM = { maxRows: 4, maxContext: 128, maxTokensPerStep: 16 }
const BLOCKS = { mixed: true, paged: { numBlocks: 64, blockTokens: 16 } }
/** Every promise here is kept whatever KV lies in. */
const KINDS = { rows: ROOM, blocks: { ...ROOM, ...BLOCKS } }
const list = (length: number, seed = 0) => Array.from({ length }, (_, index) => (index * 7 + seed) % 64)
const usageOf = (events: readonly RequestEvent[]) => {
  const last = lastOf(events)
  if (last.type !== 'finish') throw new Error(JSON.stringify(last))
  return last.usage
}

for (const maxTokensPerStep of [1, 7, 16, 128]) {
  for (const kind of [{}, { batchedPrefill: true }, BLOCKS]) {
    test(`with chunks of ${maxTokensPerStep}, ${Object.keys(kind).join()}, every answer is what it is alone`, async () => {
      const { engine, ask, runner } = startEngine({ ...ROOM, maxTokensPerStep, ...kind })
      const asked = [3, 40, 1, 9, 60, 5, 17].map((length, seed) => ({
        tokens: list(length, seed),
        maxTokens: 5 + ((seed * 5) % 23),
      }))
      const answers = await Promise.all(asked.map(ask))
      for (const [index, { tokens, maxTokens }] of asked.entries())
        expect(tokensOf(answers[index] ?? [])).toEqual(continuation(tokens, maxTokens))
      const total = asked.reduce((sum, { tokens, maxTokens }) => sum + tokens.length + maxTokens - 1, 0)
      expect(runner.numComputed).toBe(total)
      // A step that holds anything may still hold but one token.
      if (maxTokensPerStep > 1 || !runner.capabilities.mixed) expect(runner.steps.length).toBeLessThan(total)
      engine.check()
    })
  }
}

test('short fresh prompts are read in one step where the runner can, and only where little is padding', async () => {
  const { ask, runner } = startEngine({ ...ROOM, batchedPrefill: true })
  await Promise.all([3, 4, 3, 9].map((length, seed) => ask({ tokens: list(length, seed), maxTokens: 2 })))
  expect(runner.steps[0]?.runs.map(({ tokens }) => tokens.length)).toEqual([3, 4, 3])
})

test('a second prompt computes only what the first did not, and gives the same', async () => {
  const { ask, runner, engine } = startEngine(ROOM)
  const system = list(50)
  await ask({ tokens: [...system, 1, 2], maxTokens: 4 })
  const before = runner.numComputed
  const asked = { tokens: [...system, 5, 6, 7], maxTokens: 4 }
  const answer = await ask(asked)
  expect(usageOf(answer)).toEqual({ promptTokens: 53, cachedTokens: 50, completionTokens: 4 })
  expect(runner.numComputed - before).toBe(3 + 3)
  expect(tokensOf(answer)).toEqual(continuation(asked.tokens, 4))
  expect(engine.stats()).toMatchObject({ promptTokens: 52 + 53, cachedTokens: 50 })
})

test('the next turn of a conversation goes on in the row of the last one', async () => {
  const { ask, runner } = startEngine(ROOM)
  const first = await ask({ tokens: list(30), maxTokens: 10 })
  const next = [...list(30), ...tokensOf(first), 3, 4]
  expect(usageOf(await ask({ tokens: next, maxTokens: 2 }))).toMatchObject({ cachedTokens: 39 })
  expect(runner.steps.at(-1)?.runs[0]?.kv).toEqual({ row: 0 })
})

for (const [kind, room] of Object.entries(KINDS)) {
  test(`${kind}: a late short request ends before an early long one, and its first token does not wait for it`, async () => {
    const { engine, settled } = startEngine(room)
    const said: string[] = []
    const submit = (name: string, asked: Asked) =>
      engine.submit(prompt(asked), ({ type }) => said.push(`${name} ${type}`))
    submit('long', { tokens: list(4), maxTokens: 60 })
    for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
    submit('short', { tokens: list(4, 9), maxTokens: 3 })
    await settled()
    expect(said.indexOf('short finish')).toBeLessThan(said.indexOf('long finish'))
  })

  test(`${kind}: prompts and answers take turns: no running answer waits for more than a chunk and a step`, async () => {
    const { engine, runner, settled } = startEngine({ ...room, maxContext: 512 })
    runner.cost = ({ runs }) => runs.reduce((ms, { tokens }) => ms + tokens.length, 1)
    const heard = [0, 1, 2].map(() => [] as number[])
    for (const [index, times] of heard.entries())
      engine.submit(prompt({ tokens: list(3, index), maxTokens: 100 }), () => times.push(runner.clock))
    while (heard.some((times) => times.length === 0)) await new Promise((resolve) => setImmediate(resolve))
    engine.submit(prompt({ tokens: list(160, 5), maxTokens: 2 }), () => {})
    await settled()
    const gaps = heard.flatMap((times) => times.slice(1).map((time, index) => time - (times[index] ?? 0)))
    expect(Math.max(...gaps)).toBeLessThanOrEqual(17 + 5)
  })

  test(`${kind}: chunks shrink until the gap between tokens is under the target`, async () => {
    const { engine, runner, settled } = startEngine(
      { ...room, maxContext: 512, maxTokensPerStep: 64 },
      { targetGapMs: 24 },
    )
    runner.cost = ({ runs }) => runs.reduce((ms, { tokens }) => ms + tokens.length, 1)
    const times: number[] = []
    engine.submit(prompt({ tokens: list(3), maxTokens: 100 }), () => times.push(runner.clock))
    // The first prompt that comes in between teaches what a token costs.
    engine.submit(prompt({ tokens: list(60, 9), maxTokens: 1 }), () => {})
    while (times.length < 10) await new Promise((resolve) => setImmediate(resolve))
    engine.submit(prompt({ tokens: list(300, 5), maxTokens: 2 }), () => {})
    await settled()
    const gaps = times.slice(10).map((time, index) => time - (times[index + 9] ?? 0))
    expect(Math.max(...gaps)).toBeLessThanOrEqual(24 * 1.2)
  })

  test(`${kind}: twenty conversations that come at once read their system prompt once`, async () => {
    const { ask, runner } = startEngine(room)
    const system = list(64)
    const asked = Array.from({ length: 20 }, (_, index) => ({
      tokens: [...system, index, 1, index],
      maxTokens: 5,
    }))
    const answers = await Promise.all(asked.map(ask))
    for (const [index, { tokens }] of asked.entries())
      expect(tokensOf(answers[index] ?? [])).toEqual(continuation(tokens, 5))
    expect(runner.numComputed).toBe(64 + 20 * (3 + 4))
  })

  test(`${kind}: at least one token is computed, another salt finds nothing, nor does anybody after a reset`, async () => {
    const { ask, engine } = startEngine(room)
    const cached = async (asked: Partial<Asked>) =>
      usageOf(await ask({ tokens: list(48), maxTokens: 1, ...asked })).cachedTokens
    expect(await cached({})).toBe(0)
    expect(await cached({})).toBe(47)
    expect(await cached({ cacheSalt: 'other' })).toBe(0)
    expect(await cached({ cacheSalt: 'other' })).toBe(47)
    expect(await cached({ readPrefixCache: false })).toBe(0)
    engine.resetPrefixCache()
    expect(await cached({})).toBe(0)
    engine.check()
  })

  test(`${kind}: a reset while a request runs leaves the request alone and hides its KV`, async () => {
    const { engine, ask } = startEngine(room)
    const running = ask({ tokens: list(40), maxTokens: 20 })
    for (let turn = 0; turn < 8; turn++) await new Promise((resolve) => setImmediate(resolve))
    engine.resetPrefixCache()
    expect(usageOf(await ask({ tokens: list(40), maxTokens: 1 })).cachedTokens).toBe(0)
    expect(tokensOf(await running)).toEqual(continuation(list(40), 20))
    engine.check()
  })

  test(`${kind}: n answers share the prompt, and each is what its seed gives alone`, async () => {
    const { ask, runner } = startEngine({ ...room, maxRows: 3 })
    const request = { tokens: list(40), maxTokens: 6, temperature: 8, seed: 11 }
    const together = await ask({ ...request, n: 4 })
    expect(runner.numComputed).toBe(40 + 3 + 4 * 5)
    expect(usageOf(together)).toEqual({ promptTokens: 40, cachedTokens: 0, completionTokens: 24 })
    for (let choice = 0; choice < 4; choice++)
      expect(tokensOf(together, choice)).toEqual(tokensOf(await ask({ ...request, seed: 11 + choice })))
    expect(new Set([0, 1, 2, 3].map((choice) => tokensOf(together, choice).join())).size).toBe(4)
  })

  test(`${kind}: n answers share even a prompt that is shorter than a block`, async () => {
    const { ask, runner } = startEngine({ ...room, batchedPrefill: true })
    await ask({ tokens: list(5), maxTokens: 2, n: 3 })
    expect(runner.numComputed).toBe(5 + 2 + 3)
  })

  test(`${kind}: lower priority goes first, and one priority in the order of arrival`, async () => {
    const { engine, settled } = startEngine({ ...room, maxRows: 1 })
    const order: string[] = []
    for (const [name, priority] of [
      ['a', 5],
      ['b', 1],
      ['c', 0],
      ['d', 1],
    ] as const) {
      engine.submit(
        prompt({ tokens: [priority], maxTokens: 2, priority }),
        ({ type }) => type === 'finish' && order.push(name),
      )
    }
    await settled()
    expect(order).toEqual(['c', 'b', 'd', 'a'])
  })

  test(`${kind}: a request that may preempt starts at the next step; the other is computed again and gives the same`, async () => {
    const { engine, ask, runner } = startEngine(room)
    const low = [1, 2, 3, 4].map((seed) => ({ tokens: list(20, seed), maxTokens: 30, priority: 9 }))
    const running = low.map(ask)
    while (engine.stats().running < 4) await new Promise((resolve) => setImmediate(resolve))
    const before = runner.steps.length
    const high = await ask({ tokens: list(6, 50), maxTokens: 2, preempt: true })
    const first = runner.steps.findIndex(({ runs }) =>
      runs.some(({ from, tokens }) => from === 0 && tokens.length === 6),
    )
    expect(first - before).toBeLessThanOrEqual(1)
    expect(tokensOf(high)).toEqual(continuation(list(6, 50), 2))
    for (const [index, answer] of (await Promise.all(running)).entries())
      expect(tokensOf(answer)).toEqual(continuation(low[index]?.tokens ?? [], 30))
    expect(engine.stats().preemptions).toBe(1)
    engine.check()
  })

  test(`${kind}: nobody is preempted for a request of the same priority, or one that did not ask`, async () => {
    const { engine, ask } = startEngine({ ...room, maxRows: 1 })
    await Promise.all([
      ask({ tokens: [1], maxTokens: 9, priority: 1 }),
      ask({ tokens: [2], maxTokens: 2, priority: 1, preempt: true }),
      ask({ tokens: [3], maxTokens: 2, priority: 0 }),
    ])
    expect(engine.stats().preemptions).toBe(0)
  })

  test(`${kind}: a full queue refuses with a hint when to try again, and takes requests again afterwards`, async () => {
    const { engine, ask } = startEngine({ ...room, maxRows: 1 }, { maxWaiting: 2 })
    const three = [1, 2, 3].map((token) => ask({ tokens: [token], maxTokens: 3 }))
    const refused = () => engine.submit(prompt({ tokens: [4] }), () => {})
    expect(refused).toThrow(expect.objectContaining({ code: 'queue_full', retryAfterMs: expect.any(Number) }))
    expect(() => engine.submit(prompt({ tokens: [4], n: 2 }), () => {})).toThrow()
    await Promise.all(three)
    expect(tokensOf(await ask({ tokens: [5], maxTokens: 2 }))).toEqual(continuation([5], 2))
    expect(engine.stats()).toMatchObject({ refused: 2, finished: { length: 4 } })
  })

  test(`${kind}: immediate admission is granted or refused, never queued`, async () => {
    const { engine, ask } = startEngine({ ...room, maxRows: 2 })
    const asked: Asked = { tokens: [1], maxTokens: 3, admission: 'immediate' }
    const running = [ask(asked), ask(asked)]
    expect(() => engine.submit(prompt(asked), () => {})).toThrow(
      expect.objectContaining({ code: 'queue_full' }),
    )
    await Promise.all(running)
    expect(tokensOf(await ask(asked))).toHaveLength(3)
  })

  test(`${kind}: a deadline fails what has not begun and ends what has, with its text`, async () => {
    const { ask, runner, engine } = startEngine({ ...room, maxRows: 1 })
    runner.cost = () => 10
    const [long, queued, late] = await Promise.all([
      ask({ tokens: [1], maxTokens: 20, timeoutMs: 105 }),
      ask({ tokens: [2], maxTokens: 20, queueTimeoutMs: 50 }),
      ask({ tokens: [3], maxTokens: 3, queueTimeoutMs: 500 }),
    ])
    expect(lastOf(long ?? [])).toMatchObject({ type: 'finish', choices: [{ reason: 'timeout' }] })
    expect(tokensOf(long ?? [])).toEqual(continuation([1], 11))
    expect(queued).toMatchObject([{ type: 'error', error: { code: 'timeout' } }])
    expect(tokensOf(late ?? [])).toEqual(continuation([3], 3))
    expect(runner.numComputed).toBe(11 + 3)
    engine.check()
  })

  test(`${kind}: at the end of the context an answer stops, fails, or goes on without its oldest tokens`, async () => {
    const { ask, engine } = startEngine({ ...room, maxRows: 1 })
    const tokens = list(100)
    const stopped = await ask({ tokens, contextOverflow: 'stop' })
    expect(usageOf(stopped).completionTokens).toBe(28)
    const failed = await ask({ tokens, contextOverflow: 'error' })
    expect(lastOf(failed)).toMatchObject({ type: 'error', error: { code: 'context_overflow' } })
    expect(tokensOf(failed)).toEqual(tokensOf(stopped))
    expect(() =>
      engine.submit(prompt({ tokens, maxTokens: 29, contextOverflow: 'error' }), () => {}),
    ).toThrow(expect.objectContaining({ code: 'context_overflow' }))
    const shifted = tokensOf(await ask({ tokens, maxTokens: 100, contextOverflow: 'truncate-start' }))
    const limit = 128 - 32
    const kept = [tokens[0]!, ...tokens.slice(1 - limit)]
    const first = continuation(kept, 32)
    const second = continuation([...kept, ...first].toSpliced(1, 64), 64)
    const third = continuation([kept[0]!, ...[...kept, ...first, ...second].slice(-63)], 4)
    expect(shifted).toEqual([...first, ...second, ...third])
  })

  test(`${kind}: a draft is checked in one pass and changes nothing but the number of passes`, async () => {
    for (const temperature of [0, 1]) {
      const plain = startEngine({ ...room, maxContext: 512 })
      const drafting = startEngine({ ...room, maxContext: 512 }, { speculation: 'auto' })
      for (const { runner } of [plain, drafting]) runner.cost = () => 1
      // The first token is repeated for ever by its bias: the easiest text to guess.
      const asked = { tokens: list(20), maxTokens: 80, temperature, seed: 3, logitBias: { 5: 40, 9: 31 } }
      const wanted = await plain.ask(asked)
      expect(tokensOf(await drafting.ask(asked))).toEqual(tokensOf(wanted))
      expect(drafting.runner.steps.length).toBeLessThan(0.7 * plain.runner.steps.length)
      const { drafts, draftTokens, acceptedTokens, acceptedAt } = drafting.engine.stats().speculation
      expect(drafts).toBeGreaterThan(0)
      expect(acceptedTokens).toBeLessThanOrEqual(draftTokens)
      expect(acceptedAt.reduce((sum, count) => sum + count, 0)).toBe(acceptedTokens)
      expect(acceptedAt.every((count, at) => at === 0 || count <= (acceptedAt[at - 1] ?? 0))).toBe(true)
      drafting.engine.check()
    }
  })

  test(`${kind}: drafts that do not pay are given up`, async () => {
    const { ask, runner, engine } = startEngine({ ...room, maxContext: 512 }, { speculation: 'auto' })
    runner.cost = ({ runs }) => (runs[0]?.wantLogits === 'all' ? 5 : 1)
    // Pairs come again and again, each time with another sequel.
    const tokens = Array.from({ length: 200 }, (_, index) =>
      index % 3 === 2 ? index % 61 : 10 + (index % 3),
    )
    const answer = await ask({
      tokens,
      maxTokens: 200,
      logitBias: { 10: 12, 11: 11.5 },
      temperature: 3,
      seed: 1,
    })
    expect(tokensOf(answer)).toHaveLength(200)
    const { verify, decode } = engine.stats().steps
    expect(verify).toBeGreaterThan(0)
    expect(verify).toBeLessThan(decode / 4)
  })

  test(`${kind}: prompt log-probabilities are the same however the prompt is cut`, async () => {
    const found = []
    for (const maxTokensPerStep of [3, 64]) {
      const { ask } = startEngine({ ...room, maxTokensPerStep })
      await ask({ tokens: list(20), maxTokens: 1 })
      const last = lastOf(await ask({ tokens: list(20), maxTokens: 1, promptLogprobs: 2 }))
      found.push(last.type === 'finish' ? last.promptLogprobs : undefined)
    }
    expect(found[0]?.map(({ token }) => token)).toEqual(list(20).slice(1))
    expect(found[0]).toEqual(found[1])
  })

  test(`${kind}: a failed copy ends what runs; the next request is served`, async () => {
    const { ask, runner, engine } = startEngine(room)
    runner.failCopies = true
    expect(lastOf(await ask({ tokens: list(40), maxTokens: 9, n: 2 })).type).toBe('error')
    runner.failCopies = false
    expect(tokensOf(await ask({ tokens: list(40), maxTokens: 9 }))).toEqual(continuation(list(40), 9))
    engine.check()
  })
}
