import { join } from 'node:path'
import { makeRandomModel } from '@tabserve/convert'
import type { Page } from 'playwright'
import type { ModelStats } from 'tabserve'
import type { Figure, Suite } from './figure.ts'
import { interleave, median } from './interleave.ts'
import { SHAPE_15M } from './shapes.ts'

const REQUESTS = [1, 2, 4, 8, 16]
const PROMPT_TOKENS = 16
const MAX_TOKENS = 48
const ROUNDS = 3
const LONG_PROMPT = 512
const SHARED_PREFIX = 448
const CHUNK = 32
const GAP_ROUNDS = 5

/** Many requests at once against the same requests one after another, and what a shared beginning saves. */
export const batching: Suite = {
  about:
    'tokens/s of N requests at once against one after another; first token with a cached prefix; gaps beside a long prompt; one thread',
  async run({ openPage, openHarness, fixtures, log }) {
    log('Making a random model of the 15M shape.')
    const folder = { out: join(fixtures, '15m'), name: 'random-15m', version: '1' }
    await makeRandomModel({ shape: SHAPE_15M, contextLength: 1024, weights: 'int8', ...folder })
    const page = await openPage()
    const figures: Figure[] = []
    for (const url of ['/models/stories/v2/', '/fixtures/bench/15m/']) {
      const model = await load(page, url)
      for (const count of REQUESTS) {
        log(`${model}: ${count} requests.`)
        figures.push(...(await compare(page, model, count)))
      }
      figures.push(await books(page, model))
    }
    log('First token of a long prompt.')
    figures.push(...(await firstToken(page, 'random-15m@1')))
    log('Answers beside a long prompt.')
    figures.push(...(await gaps(await openHarness())))
    return figures
  },
}

async function compare(page: Page, model: string, count: number): Promise<Figure[]> {
  const rates = await interleave(
    {
      apart: () => tokensPerSecond(page, model, count, false),
      together: () => tokensPerSecond(page, model, count, true),
    },
    ROUNDS,
  )
  const figure = { suite: 'batching', metric: 'tokens/s', unit: 'tokens/s' }
  const against = `${model}, ${count} apart`
  return [
    { ...figure, case: against, value: rates.apart },
    {
      ...figure,
      case: `${model}, ${count} at once`,
      value: rates.together,
      against,
      ratio: rates.together / rates.apart,
    },
  ]
}

/** What deciding and booking costs beside the forward passes. */
async function books(page: Page, model: string): Promise<Figure> {
  const before = await stats(page, model)
  await tokensPerSecond(page, model, 8, true)
  const after = await stats(page, model)
  const steps = (of: ModelStats) => Object.values(of.steps).reduce((sum, count) => sum + count, 0)
  const value = (after.planMs - before.planMs) / (steps(after) - steps(before))
  return { suite: 'batching', case: `${model}, 8 at once`, metric: 'books', value, unit: 'ms a step' }
}

async function firstToken(page: Page, model: string): Promise<Figure[]> {
  const ms = await interleave(
    { cold: () => firstTokenMs(page, model, false), cached: () => firstTokenMs(page, model, true) },
    ROUNDS,
  )
  const figure = { suite: 'batching', metric: 'first token', unit: 'ms' }
  const cold = `prompt ${LONG_PROMPT}, cold`
  return [
    { ...figure, case: cold, value: ms.cold },
    {
      ...figure,
      case: `prompt ${LONG_PROMPT}, ${SHARED_PREFIX} cached`,
      value: ms.cached,
      against: cold,
      ratio: ms.cold / ms.cached,
    },
  ]
}

/** While eight answers run and a prompt of ten chunks is read: their longest wait, against one chunk and one decode step. */
async function gaps(page: Page): Promise<Figure[]> {
  const rounds = await page.evaluate(
    async ({ chunk, rounds }) => {
      const { harness, assets } = window
      const url = new URL('/fixtures/bench/15m/', location.href).href
      const { id } = await harness.open({ url, runner: 'heap', assets, rows: 9, maxTokensPerStep: chunk })
      const found = []
      for (let round = 0; round <= rounds; round++) found.push(await harness.tokenGaps(id, 8, 10 * chunk))
      return found.slice(1)
    },
    { chunk: CHUNK, rounds: GAP_ROUNDS },
  )
  const against = (pick: (ms: readonly number[]) => number) =>
    median(
      rounds.map(({ largestGapMs, chunkMs, decodeMs }) => largestGapMs / (pick(chunkMs) + pick(decodeMs))),
    )
  const what = `8 answers beside a prompt of ${10 * CHUNK}`
  const figure = { suite: 'batching', case: what, metric: 'longest gap' }
  return [
    { ...figure, value: against((ms) => Math.max(...ms)), unit: '× the longest chunk and step of its round' },
    { ...figure, value: against(median), unit: '× the median chunk and step of its round' },
  ]
}

function load(page: Page, url: string): Promise<string> {
  return page.evaluate(async (url) => {
    window.client ??= await window.tabserve.createClient({ threads: 1 })
    return (await window.client.load(url, { maxRunning: 16, speculation: 'off' })).id
  }, url)
}

function stats(page: Page, model: string): Promise<ModelStats> {
  return page.evaluate((model) => window.client.stats(model), model)
}

function tokensPerSecond(page: Page, model: string, count: number, together: boolean): Promise<number> {
  const requests = Array.from({ length: count }, (_, index) => ({
    model,
    promptTokens: Array.from({ length: PROMPT_TOKENS }, (_, at) => 20 + ((at * 37 + index * 11) % 400)),
    maxTokens: MAX_TOKENS,
    temperature: 0,
    ignoreEos: true,
    readPrefixCache: false,
  }))
  return page.evaluate(
    async ({ requests, together, numTokens }) => {
      const started = performance.now()
      if (together) await Promise.all(requests.map((request) => window.client.generate(request)))
      else for (const request of requests) await window.client.generate(request)
      return (1000 * numTokens) / (performance.now() - started)
    },
    { requests, together, numTokens: count * MAX_TOKENS },
  )
}

/** Milliseconds to the first token of a prompt whose beginning another conversation has had, or nobody. */
function firstTokenMs(page: Page, model: string, isCached: boolean): Promise<number> {
  const [other, prompt] = [1, 2].map((tail) =>
    Array.from({ length: LONG_PROMPT }, (_, at) => 20 + ((at * 37 + (at < SHARED_PREFIX ? 0 : tail)) % 400)),
  )
  return page.evaluate(
    async ({ model, other, prompt, numCached }) => {
      const { client } = window
      await client.resetPrefixCache(model)
      if (numCached > 0) await client.generate({ model, promptTokens: other, maxTokens: 1 })
      const { timing, usage } = await client.generate({ model, promptTokens: prompt, maxTokens: 1 })
      if (usage.cachedTokens !== numCached) throw new Error(`${usage.cachedTokens} tokens were cached`)
      return timing.firstTokenMs ?? NaN
    },
    { model, other: other ?? [], prompt: prompt ?? [], numCached: isCached ? SHARED_PREFIX : 0 },
  )
}
