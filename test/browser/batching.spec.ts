import type { Page } from 'playwright/test'
import { median } from '../../packages/dev/src/bench/interleave.ts'
import { MODEL, expect, test } from './fixtures.ts'

interface Asked {
  readonly promptTokens: number[]
  readonly maxTokens: number
  readonly seed: number
  readonly temperature: number
  readonly ignoreEos: true
}

/** KV in blocks, and in rows. */
const RUNNERS = ['kernels', 'heap'] as const

/** Prompts from 1 to 200 tokens, answers from 2 to 60, half of them greedy, some with a common beginning. */
const ASKED: readonly Asked[] = Array.from({ length: 64 }, (_, index) => ({
  promptTokens: Array.from({ length: index % 16 === 0 ? 200 : 1 + ((index * 13) % 70) }, (_, at) =>
    at < 40 && index % 3 === 0 ? 100 + at : 50 + ((at * 31 + index * 17) % 900),
  ),
  maxTokens: 2 + ((index * 29) % 59),
  seed: index,
  temperature: index % 2,
  ignoreEos: true,
}))

for (const runner of RUNNERS)
  test(`${runner}: 64 requests over 8 rows: every answer is, token for token, what it is alone`, async ({
    page,
  }) => {
    await load(page, { runner, maxRunning: 8 })
    const { together, order, stats } = await page.evaluate(async (asked) => {
      const order: number[] = []
      const answers = asked.map(async (request, index) => {
        await new Promise((resolve) => setTimeout(resolve, index * 5)) // staggered
        const { tokens, finishReason } = await window.client.generate({ model: 'stories@2', ...request })
        order.push(index)
        return { tokens, finishReason }
      })
      return { together: await Promise.all(answers), order, stats: await window.client.stats('stories@2') }
    }, ASKED)
    await load(page, { runner, maxRunning: 1, speculation: 'off' })
    const alone = await page.evaluate(async (asked) => {
      const answers: (readonly number[])[] = []
      for (const request of asked) {
        const options = { model: 'stories@2', ...request, readPrefixCache: false }
        answers.push((await window.client.generate(options)).tokens)
      }
      return answers
    }, ASKED)
    const wrong = ASKED.flatMap((_, index) =>
      together[index]?.tokens.join() === alone[index]?.join() && together[index]?.finishReason === 'length'
        ? []
        : [index],
    )
    expect(wrong).toEqual([])
    // A late short one ended before an early long one.
    expect(order.some((index, place) => order.slice(place).some((later) => later < index))).toBe(true)
    expect(stats).toMatchObject({ running: 0, waiting: 0, rows: 8, finished: { length: 64 }, failed: 0 })
    expect(stats.generatedTokens / stats.steps.decode).toBeGreaterThan(4)
  })

test('where KV blocks run out, answers that wait their turn again are what they would have been', async ({
  page,
}) => {
  // 40 blocks of 16 positions, of which 8 answers would like up to 128.
  await load(page, { runner: 'kernels', maxRunning: 8, kvBudgetBytes: 40 * 16 * 2 * 4 * 4 * 32 * 4 })
  const ask = (options: object) =>
    page.evaluate(async (options) => {
      const { client } = window
      const prompts = Array.from({ length: 12 }, (_, index) =>
        Array.from({ length: 30 + 9 * index }, (_, at) => 50 + ((at * 31 + index * 17) % 900)),
      )
      const answers = prompts.map((promptTokens, seed) =>
        client.generate({
          model: 'stories@2',
          promptTokens,
          maxTokens: 100,
          seed,
          ignoreEos: true,
          ...options,
        }),
      )
      const tokens = (await Promise.all(answers)).map(({ tokens }) => tokens)
      return { tokens, stats: await client.stats('stories@2') }
    }, options)
  const short = await ask({})
  expect(short.stats.preemptions).toBeGreaterThan(0)
  expect(short.stats).toMatchObject({ running: 0, waiting: 0, failed: 0 })
  await load(page, { runner: 'kernels', maxRunning: 1, speculation: 'off' })
  expect(short.tokens).toEqual((await ask({ readPrefixCache: false })).tokens)
})

for (const runner of RUNNERS)
  test(`${runner}: after the loop is left at token 3 of 200 not one token is computed`, async ({ page }) => {
    await load(page, { runner })
    const found = await page.evaluate(async () => {
      const { client } = window
      const request = { model: 'stories@2', prompt: 'Once upon a time', maxTokens: 200, ignoreEos: true }
      let seen = 0
      const stream = client.generate({ ...request, temperature: 0 })
      for await (const { tokens } of stream) if ((seen += tokens.length) >= 3) break
      const { usage, finishReason } = await stream
      const after = await client.stats('stories@2')
      await new Promise((resolve) => setTimeout(resolve, 100))
      return { seen, usage, finishReason, after, later: await client.stats('stories@2') }
    })
    expect(found.finishReason).toBe('abort')
    expect(found.usage.completionTokens).toBeLessThan(60) // what was computed while the message was on its way
    expect(found.after).toMatchObject({ running: 0, finished: { abort: 1 } })
    expect(found.later.computedTokens).toBe(found.after.computedTokens)
    expect(found.after.computedTokens).toBe(found.usage.promptTokens + found.usage.completionTokens - 1)
  })

test('while eight answers run and a prompt of ten chunks is read, none waits longer than a chunk and a step', async ({
  harnessPage,
}) => {
  const rounds = await harnessPage.evaluate(
    async ({ url, rounds }) => {
      const { harness, assets } = window
      const options = { runner: 'heap' as const, rows: 9, maxTokensPerStep: 32 }
      const { id } = await harness.open({ url: new URL(url, location.href).href, assets, ...options })
      const found = []
      for (let round = 0; round < rounds; round++) found.push(await harness.tokenGaps(id, 8, 320))
      return found
    },
    { url: MODEL.stories2, rounds: 7 },
  )
  for (const { chunkMs, decodeMs } of rounds) {
    expect(chunkMs.length).toBeGreaterThanOrEqual(10)
    expect(decodeMs.length).toBeGreaterThanOrEqual(chunkMs.length - 1) // in turns
  }
  // Against the longest of the same round: where another process takes the core, a chunk and the gap around it grow alike.
  const ratios = rounds.map(
    ({ largestGapMs, chunkMs, decodeMs }) => largestGapMs / (Math.max(...chunkMs) + Math.max(...decodeMs)),
  )
  expect(median(ratios)).toBeLessThanOrEqual(1.2)
})

for (const runner of RUNNERS)
  test(`${runner}: a conversation that goes on, and one that begins like another, compute only what is new`, async ({
    page,
  }) => {
    await load(page, { runner })
    const found = await page.evaluate(async () => {
      const { client } = window
      const model = 'stories@2'
      const first = [
        {
          role: 'user' as const,
          content: 'Tell me a long story about a little dog who wanted to see the sea.',
        },
      ]
      const answer = await client.generate({ model, messages: first, maxTokens: 40, temperature: 0 })
      const second = [
        ...first,
        { role: 'assistant' as const, content: answer.text },
        { role: 'user' as const, content: 'And then?' },
      ]
      const request = { model, messages: second, maxTokens: 20, temperature: 0 }
      const next = await client.generate(request)
      const anew = await client.generate({ ...request, readPrefixCache: false })
      await client.resetPrefixCache(model)
      const reset = await client.generate(request)
      return { answer: answer.usage, next, anew, reset: reset.usage }
    })
    expect(found.answer.cachedTokens).toBe(0)
    expect(found.next.usage.cachedTokens).toBeGreaterThan(found.answer.promptTokens)
    expect(found.next.tokens).toEqual(found.anew.tokens)
    expect(found.anew.usage.cachedTokens).toBe(0)
    expect(found.reset.cachedTokens).toBe(0)
  })

for (const runner of RUNNERS)
  test(`${runner}: n answers come in one stream, each with its number`, async ({ page }) => {
    await load(page, { runner })
    const found = await page.evaluate(async () => {
      const { client } = window
      const request = { model: 'stories@2', prompt: 'Once upon a time', maxTokens: 12, seed: 5 }
      const stream = client.generate({ ...request, n: 3 })
      const texts = ['', '', '']
      for await (const { choice, text } of stream) texts[choice] += text
      const alone = []
      for (let seed = 5; seed < 8; seed++) alone.push((await client.generate({ ...request, seed })).text)
      return { texts, alone, result: await stream }
    })
    expect(found.texts).toEqual(found.alone)
    expect(found.result.choices.map(({ text }) => text)).toEqual(found.alone)
    expect(found.result.text).toBe(found.alone[0])
  })

test('a full queue, an immediate request and a deadline end in one typed error, and nothing else is lost', async ({
  page,
}) => {
  await load(page, { maxRunning: 1, maxWaiting: 1 })
  const found = await page.evaluate(async () => {
    const { client } = window
    const request = { model: 'stories@2', prompt: 'Once', maxTokens: 100, ignoreEos: true }
    const outcome = async (options: object) => {
      try {
        return { finishReason: (await client.generate({ ...request, ...options })).finishReason }
      } catch (error) {
        const { code, retryAfterMs } = error as { code: string; retryAfterMs?: number }
        return { code, retryAfterMs }
      }
    }
    return Promise.all([
      outcome({}),
      outcome({ queueTimeoutMs: 1 }),
      outcome({}),
      outcome({ admission: 'immediate' }),
    ])
  })
  expect(found[0]).toEqual({ finishReason: 'length' })
  expect(found[1]).toMatchObject({ code: 'timeout' })
  expect(found[2]).toMatchObject({ code: 'queue_full', retryAfterMs: expect.any(Number) })
  expect(found[3]).toMatchObject({ code: 'queue_full' })
})

async function load(page: Page, options: object): Promise<void> {
  await page.evaluate(
    async ({ url, options }) => {
      window.client ??= await window.tabserve.createClient({ threads: 1 })
      await window.client.load(url, options)
    },
    { url: MODEL.stories2, options },
  )
}
