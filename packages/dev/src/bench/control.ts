import { join } from 'node:path'
import { makeRandomModel } from '@tabserve/convert'
import type { Page } from 'playwright'
import type { Figure, Suite } from './figure.ts'
import { interleave, median } from './interleave.ts'
import { SHAPE_15M } from './shapes.ts'

const MODEL = 'random-15m-q4@1'
const URL_15M = '/fixtures/bench/15m-q4/'
const REQUESTS = 24
const TOKENS = 32
const ROUNDS = 3

/** Two cores in three ways. */
const SPLITS = [
  { name: '1 replica, 1 thread', replicas: 1, threads: 1 },
  { name: '1 replica, 2 threads', replicas: 1, threads: 2 },
  { name: '2 replicas, 1 thread', replicas: 2, threads: 1 },
] as const

/** Replicas, recovery and hand-over. */
export const control: Suite = {
  about:
    'requests/s and queue time of 1 and 2 replicas; cold and warm scale-up; recovery from a killed worker; hand-over between tabs',
  async run({ openPage, fixtures, log }) {
    log('Making a random model of the 15M shape.')
    const folder = { out: join(fixtures, '15m-q4'), name: 'random-15m-q4', version: '1' }
    await makeRandomModel({ shape: SHAPE_15M, contextLength: 1024, weights: 'q4', ...folder })
    const page = await openPage()
    log('Replicas.')
    const figures = [...(await throughput(page)), await leftToTheMachine(page, log)]
    log('Scaling.')
    figures.push(...(await scaleUp(page)))
    log('Recovery.')
    figures.push(await recovery(page))
    await page.close()
    log('Hand-over between tabs.')
    figures.push(await handOver(openPage))
    return figures
  },
}

async function throughput(page: Page): Promise<Figure[]> {
  const queueMs = new Map<string, number[]>()
  const cases = Object.fromEntries(
    SPLITS.map(({ name, replicas, threads }) => [
      name,
      async () => {
        const { ms, queues } = await burst(page, replicas, threads)
        queueMs.set(name, [...(queueMs.get(name) ?? []), percentile(queues, 0.95)])
        return (1000 * REQUESTS) / ms
      },
    ]),
  )
  const rates = await interleave(cases, ROUNDS)
  const base = { suite: 'control', unit: 'requests/s', metric: 'requests' }
  const [{ name: against }] = SPLITS
  return SPLITS.flatMap(({ name }): Figure[] => [
    {
      ...base,
      case: name,
      value: rates[name] ?? NaN,
      against,
      ratio: (rates[name] ?? NaN) / (rates[against] ?? NaN),
    },
    {
      ...base,
      case: name,
      metric: 'p95 queue time',
      unit: 'ms',
      value: median((queueMs.get(name) ?? []).slice(1)),
    },
  ])
}

/** What `replicas: 'auto'` makes of two cores. */
async function leftToTheMachine(page: Page, log: (line: string) => void): Promise<Figure> {
  const split = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient()
    const { split } = await client.load(url, { replicas: 'auto' })
    client.dispose()
    return split
  }, URL_15M)
  log(`replicas: 'auto': ${split?.reason}`)
  const value = split?.replicas ?? NaN
  return { suite: 'control', case: "replicas: 'auto'", metric: 'chosen', unit: 'replicas', value }
}

/** Many requests at once: how long all take, and how long each waited for its first step. */
function burst(page: Page, replicas: number, threads: number): Promise<{ ms: number; queues: number[] }> {
  return page.evaluate(
    async ({ url, model, replicas, threads, count, maxTokens }) => {
      const client = await window.tabserve.createClient({ threads })
      await client.load(url, { replicas })
      const requests = Array.from({ length: count }, (_, index) => ({
        model,
        promptTokens: Array.from({ length: 16 }, (_, at) => 20 + ((at * 37 + index * 11) % 400)),
        maxTokens,
        temperature: 0,
        ignoreEos: true,
        readPrefixCache: false,
      }))
      const started = performance.now()
      const results = await Promise.all(requests.map((request) => client.generate(request)))
      const ms = performance.now() - started
      client.dispose()
      return { ms, queues: results.map(({ timing }) => timing.queueMs) }
    },
    { url: URL_15M, model: MODEL, replicas, threads, count: REQUESTS, maxTokens: TOKENS },
  )
}

/** From no replica to the first token of the request that wakes one, and from one replica to two. */
async function scaleUp(page: Page): Promise<Figure[]> {
  const ms = await interleave({ cold: () => wakeMs(page), warm: () => secondMs(page) }, ROUNDS)
  const figure = { suite: 'control', unit: 'ms', metric: 'scale-up' }
  return [
    { ...figure, case: '0 to 1, first token', value: ms.cold },
    { ...figure, case: '1 to 2, ready', value: ms.warm },
  ]
}

function wakeMs(page: Page): Promise<number> {
  return page.evaluate(
    async ({ url, model }) => {
      const client = await window.tabserve.createClient({ threads: 1 })
      await client.load(url)
      await client.scale(model, 0)
      const started = performance.now()
      await client.generate({ model, promptTokens: [20, 21, 22], maxTokens: 1 })
      const ms = performance.now() - started
      client.dispose()
      return ms
    },
    { url: URL_15M, model: MODEL },
  )
}

function secondMs(page: Page): Promise<number> {
  return page.evaluate(
    async ({ url, model }) => {
      const client = await window.tabserve.createClient({ threads: 1 })
      await client.load(url)
      const started = performance.now()
      await client.scale(model, 2)
      const ms = performance.now() - started
      client.dispose()
      return ms
    },
    { url: URL_15M, model: MODEL },
  )
}

/** From the kill of a worker in the middle of four streams until all four have gone on. */
async function recovery(page: Page): Promise<Figure> {
  const ms = await interleave({ recovery: () => recoveryMs(page) }, ROUNDS)
  return {
    suite: 'control',
    case: 'worker killed, 4 streams',
    metric: 'recovery',
    unit: 'ms',
    value: ms.recovery,
  }
}

function recoveryMs(page: Page): Promise<number> {
  return page.evaluate(
    async ({ url, model }) => {
      const target = new URL('../tabserve.worker.js', location.href).href
      const script = `import ${JSON.stringify(target)}; addEventListener('message', ({ data }) => data === 'die' && close())`
      const blob = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }))
      const workers: Worker[] = []
      const client = await window.tabserve.createClient({
        threads: 1,
        worker() {
          const worker = new Worker(blob, { type: 'module' })
          workers.push(worker)
          return worker
        },
      })
      await client.load(url)
      const streams = [1, 2, 3, 4].map((first) =>
        client.generate({
          model,
          promptTokens: [first, 20, 21],
          maxTokens: 300,
          temperature: 0,
          ignoreEos: true,
        }),
      )
      let killed = 0
      let numStarted = 0
      const recovered = await Promise.all(
        streams.map(async (stream) => {
          let numTokens = 0
          let ms = 0
          for await (const { tokens } of stream) {
            if (killed > 0 && workers.length > 1) ms ||= performance.now() - killed
            if (
              (numTokens += tokens.length) > 20 &&
              numTokens - tokens.length <= 20 &&
              ++numStarted === streams.length
            ) {
              killed = performance.now()
              workers[0]?.postMessage('die')
            }
          }
          return ms
        }),
      )
      client.dispose()
      return Math.max(...recovered)
    },
    { url: URL_15M, model: MODEL },
  )
}

/** From the close of the leading tab to the next token of another tab's stream. */
async function handOver(openPage: () => Promise<Page>): Promise<Figure> {
  const ms = await interleave({ handOver: () => handOverMs(openPage) }, ROUNDS)
  return { suite: 'control', case: 'leading tab closed', metric: 'hand-over', unit: 'ms', value: ms.handOver }
}

async function handOverMs(openPage: () => Promise<Page>): Promise<number> {
  const leader = await openPage()
  const follower = await openPage()
  for (const tab of [leader, follower])
    await tab.evaluate(async (url) => {
      window.client = await window.tabserve.createClient({ threads: 1, share: true })
      await window.client.load(url)
    }, URL_15M)
  // The longest pause of a stream that begins before the leader closes and ends after it.
  const paused = follower.evaluate(async (model) => {
    const at: number[] = []
    const request = { model, promptTokens: [20, 21, 22], temperature: 0, ignoreEos: true, maxTokens: 1000 }
    for await (const _ of window.client.generate(request)) at.push(performance.now())
    if (window.client.role !== 'leader') throw new Error('the stream ended before the leader had closed')
    return Math.max(...at.slice(1).map((ms, index) => ms - (at[index] ?? ms)))
  }, MODEL)
  await new Promise((resolve) => setTimeout(resolve, 100))
  await leader.close()
  const ms = await paused
  await follower.close()
  return ms
}

function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  return sorted[Math.ceil(share * sorted.length) - 1] ?? NaN
}
