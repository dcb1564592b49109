import { expect, test } from 'playwright/test'
import type { Step } from '../../packages/engine/src/model-runner.ts'
import type { RequestEvent } from '../../packages/protocol/src/index.ts'
import { lastOf, prompt, startEngine, tokensOf } from './fake-engine.ts'
import { continuation } from './fake-runner.ts'

const BLOCK = 16
const ROOM = { mixed: true, maxRows: 8, maxContext: 128, maxTokensPerStep: 32 }
const paged = (numBlocks: number) => ({ ...ROOM, paged: { numBlocks, blockTokens: BLOCK } })
const list = (length: number, seed = 0) => Array.from({ length }, (_, index) => (index * 7 + seed) % 64)
const turn = () => new Promise((resolve) => setImmediate(resolve))
const sizeOf = ({ runs }: Step) => runs.reduce((sum, { tokens }) => sum + tokens.length, 0)
const cachedOf = (events: readonly RequestEvent[]) => {
  const last = lastOf(events)
  return last.type === 'finish' ? last.usage.cachedTokens : NaN
}

test('a runner with too few blocks for one context, or of a kind that nobody plans for, is refused at once', () => {
  expect(() => startEngine(paged(7))).toThrow('hold less than one context')
  expect(() => startEngine({ ...paged(8), mixed: false })).toThrow('or neither')
  expect(() => startEngine({ mixed: true })).toThrow('or neither')
})

test('one step holds every answer and pieces of several prompts, and never more tokens than it may', async () => {
  const { engine, ask, runner } = startEngine(paged(64))
  const early = [0, 1, 2].map((seed) => ask({ tokens: list(5, seed), maxTokens: 40 }))
  while (engine.stats().steps.decode === 0) await turn()
  const before = runner.steps.length
  const late = [10, 11, 12, 13].map((seed) => ask({ tokens: list(12, seed), maxTokens: 4 }))
  await Promise.all([...early, ...late])
  const lengths = runner.steps
    .slice(before)
    .map(({ runs }) => runs.map(({ tokens }) => tokens.length))
    .find((step) => Math.max(...step) > 1)
  expect(lengths).toEqual([1, 1, 1, 12, 12, 5])
  expect(Math.max(...runner.steps.map(sizeOf))).toBe(32)
  for (const [index, answer] of (await Promise.all(late)).entries())
    expect(tokensOf(answer)).toEqual(continuation(list(12, 10 + index), 4))
})

test('where there are more answers than a step has tokens, they go round and a prompt is not forgotten', async () => {
  const { engine, ask, runner } = startEngine({ ...paged(64), maxTokensPerStep: 3 })
  const answers = [0, 1, 2, 3, 4, 5].map((seed) => ask({ tokens: list(3, seed), maxTokens: 40 }))
  while (engine.stats().running < 6) await turn()
  const before = runner.steps.length
  let after = Infinity
  engine.submit(prompt({ tokens: list(9, 50), maxTokens: 2 }), () => (after = runner.steps.length))
  for (const [seed, answer] of (await Promise.all(answers)).entries())
    expect(tokensOf(answer)).toEqual(continuation(list(3, seed), 40))
  expect(after - before).toBeLessThan(40)
})

test('when blocks run out the last in rank makes room, is computed again and gives the same; the first never waits', async () => {
  const { engine, ask, runner } = startEngine(paged(12))
  const asked = [0, 1, 2, 3].map((seed) => ({ tokens: list(20, seed), maxTokens: 90, priority: seed }))
  const working = asked.map(ask)
  const answers = await Promise.all(working)
  for (const [index, answer] of answers.entries())
    expect(tokensOf(answer)).toEqual(continuation(asked[index]?.tokens ?? [], 90))
  expect(engine.stats().preemptions).toBeGreaterThan(2)
  expect(engine.stats().preemptions).toBeLessThan(20)
  // Whose text it is shows in the length of its run's past: the first one's grows by one in every step.
  const pasts = runner.steps.slice(1, 90).map(({ runs }) => Math.max(...runs.map(({ from }) => from)))
  expect(pasts).toEqual(pasts.map((_, index) => 20 + index))
  expect(engine.stats().blocks).toMatchObject({ total: 12, used: 0 })
  engine.check()
})

test('no sequence has more than a block that is not full, drafts included', async () => {
  const { engine, ask, runner } = startEngine({ ...paged(64), maxTokensPerStep: 64 }, { speculation: 'auto' })
  let most = 0
  runner.cost = ({ runs }) => {
    const needed = runs.reduce((sum, { from, tokens }) => sum + Math.floor((from + tokens.length) / BLOCK), 0)
    const used = engine.stats().blocks?.used ?? NaN
    most = Math.max(most, (used - needed) / runs.length)
    return 1
  }
  await Promise.all([3, 20, 17, 9].map((length, seed) => ask({ tokens: list(length, seed), maxTokens: 60 })))
  expect(engine.stats().steps.verify).toBeGreaterThan(0)
  expect(most).toBeLessThanOrEqual(1)
})

test('twenty requests with one system prompt, and n answers, hold one copy of it, and nothing is copied', async () => {
  const { engine, ask, runner } = startEngine(paged(64))
  let most = 0
  runner.cost = () => ((most = Math.max(most, engine.stats().blocks?.used ?? NaN)), 1)
  const system = list(96)
  const asked = Array.from({ length: 20 }, (_, index) => ({ tokens: [...system, index, 1], maxTokens: 5 }))
  const answers = await Promise.all(asked.map(ask))
  for (const [index, { tokens }] of asked.entries())
    expect(tokensOf(answers[index] ?? [])).toEqual(continuation(tokens, 5))
  expect(runner.numComputed).toBe(96 + 20 * (2 + 4))
  expect(most).toBe(6 + 8)
  expect(answers.slice(1).map(cachedOf)).toEqual(new Array(19).fill(96))
  most = 0
  await ask({ tokens: list(97, 5), maxTokens: 5, n: 8, temperature: 9, seed: 1 })
  expect(most).toBe(6 + 8)
  expect(runner.copies).toEqual([])
})

test('answers that part within a block get a copy of it each, but for one', async () => {
  const { engine, ask, runner } = startEngine(paged(64))
  const answer = await ask({ tokens: list(40), maxTokens: 20, n: 3, temperature: 9, seed: 1 })
  expect(new Set([0, 1, 2].map((choice) => tokensOf(answer, choice).join())).size).toBe(3)
  expect(runner.copies.map(({ numTokens }) => numTokens)).toEqual([7, 7])
  expect(engine.stats().blocks?.copied).toBe(2)
})

test('the next turn of a conversation goes on in its last block, and nothing is copied', async () => {
  const { ask, runner } = startEngine(paged(64))
  const first = await ask({ tokens: list(30), maxTokens: 10 })
  const next = [...list(30), ...tokensOf(first), 3, 4]
  expect(cachedOf(await ask({ tokens: next, maxTokens: 2 }))).toBe(39)
  expect(runner.copies).toEqual([])
})

test('a prompt whose beginning is just being read for a better one waits for it, and others pass', async () => {
  const { ask, runner } = startEngine({ ...paged(64), maxTokensPerStep: 16 })
  const first = ask({ tokens: [...list(64), 1], maxTokens: 3 })
  await turn()
  await turn()
  const second = ask({ tokens: [...list(64), 2], maxTokens: 3 })
  const third = ask({ tokens: list(6, 9), maxTokens: 3 })
  expect(cachedOf(await second)).toBe(64)
  await Promise.all([first, third])
  expect(runner.numComputed).toBe(64 + 2 * 3 + 6 + 2)
})

test('one that outranks who reads its beginning does not wait; what both have read is kept once', async () => {
  const { engine, ask, settled } = startEngine({ ...paged(64), maxTokensPerStep: 16 })
  const low = ask({ tokens: [...list(64), 1], maxTokens: 20, priority: 1 })
  await turn()
  await turn()
  const high = ask({ tokens: [...list(64), 2], maxTokens: 20 })
  let used = 0
  while (engine.stats().running < 2) await turn()
  for (let step = 0; step < 12; step++) {
    await turn()
    used = engine.stats().blocks?.used ?? NaN
    engine.check()
  }
  expect(used).toBe(4 + 2 * 1)
  expect(cachedOf(await high)).toBeLessThan(64)
  expect(tokensOf(await low)).toEqual(continuation([...list(64), 1], 20))
  await settled()
})

test('who is let in leaves a block for each who runs, so nobody comes only to go', async () => {
  const { engine, ask } = startEngine(paged(8))
  const first = ask({ tokens: list(60), maxTokens: 20 }) // four blocks, and a fifth soon
  while (engine.stats().running === 0) await turn()
  const second = ask({ tokens: list(63, 5), maxTokens: 3 }) // the four that are left
  expect(tokensOf(await first)).toEqual(continuation(list(60), 20))
  expect(tokensOf(await second)).toEqual(continuation(list(63, 5), 3))
  expect(engine.stats().preemptions).toBe(0)
})

test('who waits for a beginning that is being read keeps his seat from those behind him', async () => {
  const { engine, runner } = startEngine({ ...paged(64), maxRows: 2, maxTokensPerStep: 8 })
  const said: string[] = []
  const submit = (name: string, tokens: number[]) =>
    engine.submit(prompt({ tokens, maxTokens: 2 }), ({ type }) => type === 'finish' && said.push(name))
  submit('reader', [...list(48), 1])
  submit('waits for it', [...list(48), 2])
  submit('behind', list(5, 9))
  while (said.length < 3) await turn()
  expect(said).toEqual(['reader', 'waits for it', 'behind'])
  expect(runner.numComputed).toBe(48 + 2 * 2 + 5 + 1)
})

test('what prompts cost beside answers is learned beside answers', async () => {
  const room = { ...paged(512), maxContext: 1024, maxTokensPerStep: 64 }
  const { engine, runner, settled } = startEngine(room, { targetGapMs: 40 })
  const isPrompt = ({ tokens }: { tokens: Int32Array }) => tokens.length > 1
  runner.cost = ({ runs }) =>
    runs.reduce((ms, { tokens }) => ms + tokens.length * (runs.every(isPrompt) ? 0.1 : 1), 1)
  const times: number[] = []
  engine.submit(prompt({ tokens: list(200), maxTokens: 300 }), () => times.push(runner.clock))
  while (times.length < 5) await turn()
  engine.submit(prompt({ tokens: list(600, 5), maxTokens: 2 }), () => {})
  await settled()
  const gaps = times.slice(1).map((time, index) => time - (times[index] ?? 0))
  expect(gaps.filter((gap) => gap > 40 * 1.2).length).toBeLessThan(7) // of ten such chunks; these taught it
})

test('what is written after a reset by who ran through it cannot be found', async () => {
  const { engine, ask } = startEngine(paged(64))
  const tokens = list(5) // its first block is not full yet
  const running = ask({ tokens, maxTokens: 60 })
  while (engine.stats().running === 0) await turn()
  engine.resetPrefixCache()
  const answer = tokensOf(await running)
  expect(cachedOf(await ask({ tokens: [...tokens, ...answer], maxTokens: 1 }))).toBe(0)
})

test('an immediate request is refused when blocks are missing, though a place is free', async () => {
  const { engine, ask } = startEngine(paged(8))
  const long = ask({ tokens: list(100), maxTokens: 8 })
  while (engine.stats().running === 0) await turn()
  const submit = () => engine.submit(prompt({ tokens: list(40, 3), admission: 'immediate' }), () => {})
  expect(submit).toThrow(expect.objectContaining({ code: 'queue_full' }))
  await long
  expect(submit).not.toThrow()
})

test('blocks that are used, cached and free are counted', async () => {
  const { engine, ask, runner } = startEngine(paged(16))
  const found: unknown[] = []
  runner.cost = () => (found.push([engine.stats().kvUsage, engine.stats().blocks]), 1)
  await ask({ tokens: list(20), maxTokens: 1 })
  await ask({ tokens: list(70, 3), maxTokens: 1 })
  const block = { total: 16, copied: 0 }
  expect(found[0]).toMatchObject([2 / 16, { ...block, used: 2, cached: 0, stored: 0 }])
  expect(found.at(-1)).toMatchObject([5 / 16, { ...block, used: 5, cached: 2 }])
  engine.resetPrefixCache()
  expect(engine.stats().blocks).toMatchObject({ ...block, used: 0, cached: 0, evicted: 0 })
})

for (const numAnswers of [1, 2, 3, 8]) {
  test(`drafts beside ${numAnswers} answers change nothing but the number of passes`, async () => {
    for (const temperature of [0, 1]) {
      const plain = startEngine(paged(64))
      const drafting = startEngine(paged(64), { speculation: 'auto' })
      for (const { runner } of [plain, drafting]) runner.cost = () => 1
      const asked = Array.from({ length: numAnswers }, (_, seed) => ({
        tokens: list(20, seed),
        maxTokens: 80,
        temperature,
        seed,
        logitBias: { 5: 40, 9: 31 },
      }))
      const wanted = await Promise.all(asked.map(plain.ask))
      const found = await Promise.all(asked.map(drafting.ask))
      expect(found.map((events) => tokensOf(events))).toEqual(wanted.map((events) => tokensOf(events)))
      expect(drafting.runner.steps.length).toBeLessThan(0.7 * plain.runner.steps.length)
      expect(Math.max(...drafting.runner.steps.map(sizeOf))).toBeLessThanOrEqual(32)
      drafting.engine.check()
    }
  })
}

test('an immediate request does not wait for a beginning that another is reading', async () => {
  const { engine, ask, runner } = startEngine({ ...paged(64), maxTokensPerStep: 4 })
  const other = ask({ tokens: list(100), maxTokens: 1 })
  while (runner.steps.length < 2) await turn()
  engine.submit(prompt({ tokens: list(90), maxTokens: 1, admission: 'immediate' }), () => {})
  const before = engine.stats()
  await turn()
  expect(before.waiting + before.running).toBe(2)
  await turn()
  expect(engine.stats()).toMatchObject({ running: 2, waiting: 0 })
  await other
})

test('a prompt is read at once beside an answer whose every draft is right', async () => {
  const { engine, ask, runner } = startEngine(
    { ...paged(512), maxContext: 1024, maxTokensPerStep: 64 },
    { speculation: 'auto' },
  )
  runner.cost = () => 1
  await ask({ tokens: list(3), maxTokens: 40 }) // the judge knows what a step costs
  const long = ask({ tokens: new Array<number>(64).fill(5), maxTokens: 900, logitBias: { 5: 40 } })
  while (engine.stats().steps.verify < 3) await turn()
  const before = runner.steps.length
  let after = Infinity
  engine.submit(
    prompt({ tokens: list(40, 9), maxTokens: 2 }),
    () => (after = Math.min(after, runner.steps.length)),
  )
  await long
  expect(after - before).toBeLessThan(8)
})

test('drafts are given up where they do not pay, beside many answers, and kept where they do', async () => {
  const { ask, runner } = startEngine(
    { ...paged(512), maxContext: 1024, maxTokensPerStep: 64 },
    { speculation: 'auto' },
  )
  // A guess is free beside one answer, and beside four each costs as much as a pass.
  runner.cost = (step) => (step.runs.length < 4 ? 1 : 1 + 4 * (sizeOf(step) - step.runs.length))
  const verified = (steps: readonly Step[]) => steps.filter((step) => sizeOf(step) > step.runs.length).length
  const asked = (seed: number) => ({ tokens: list(20, seed), maxTokens: 300, logitBias: { 5: 40 } })
  await Promise.all([0, 1, 2, 3].map((seed) => ask(asked(seed))))
  const many = runner.steps.filter(({ runs }) => runs.length === 4)
  expect(verified(many)).toBeGreaterThan(0)
  expect(verified(many)).toBeLessThan(many.length / 8)
  const before = runner.steps.length
  await ask(asked(4))
  expect(runner.steps.length - before).toBeLessThan(0.6 * 300)
})

test('no more logits are asked for than the draw needs', async () => {
  const { ask, runner } = startEngine(paged(64))
  const topOf = async (options: object) => {
    await ask({ tokens: list(4), maxTokens: 2, ...options })
    return [...new Set(runner.steps.splice(0).flatMap(({ runs }) => runs.map(({ top }) => top)))]
  }
  expect(await topOf({})).toEqual([1])
  expect(await topOf({ temperature: 1, topK: 5 })).toEqual([5])
  expect(await topOf({ temperature: 1, topK: 64 })).toEqual([64])
  for (const whole of [
    { temperature: 1 },
    { temperature: 1, topK: 65 },
    { logprobs: 0 },
    { logitBias: { 1: 1 } },
    { repetitionPenalty: 1.1 },
    { temperature: 1, topK: 5, allowedTokenIds: [1, 2] },
  ])
    expect(await topOf(whole)).toEqual([0])
  expect(await topOf({ promptLogprobs: 1 })).toEqual([0, 1])
})
