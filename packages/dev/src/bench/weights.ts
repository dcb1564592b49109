import { join } from 'node:path'
import { makeRandomModel } from '@tabserve/convert'
import type { Page } from 'playwright'
import type { TimedStore } from '../harness/store-timer.ts'
import type { BenchContext, Figure, Suite } from './figure.ts'
import { median } from './interleave.ts'
import { watchRenderers } from './renderer-memory.ts'
import { SHAPE_15M } from './shapes.ts'

const ROUNDS = 3
const STORES: readonly TimedStore[] = ['indexeddb', 'opfs', 'cache']
const MEGABYTES = [64, 512]

/** Loading from the store against loading from a server on this machine, and what stores cost. */
export const weights: Suite = {
  about:
    'cold and warm load, first token and peak memory; IndexedDB against OPFS and the Cache API, 64 and 512 MB',
  async run(bench) {
    return [...(await loads(bench)), ...(await stores(bench))]
  },
}

async function loads({ openPage, fixtures, log }: BenchContext): Promise<Figure[]> {
  log('Making a random 15M model.')
  const out = join(fixtures, '15m')
  await makeRandomModel({
    shape: SHAPE_15M,
    contextLength: 512,
    weights: 'fp32',
    out,
    name: 'random',
    version: '1',
  })
  const rounds: Record<LoadKind, LoadTimes[]> = { cold: [], warm: [] }
  for (let round = 0; round <= ROUNDS; round++)
    for (const kind of ['cold', 'warm'] as const) {
      const page = await openPage()
      const times = await timeLoad(page, kind)
      if (round > 0) rounds[kind].push(times) // the first one fills the disk's cache
      await page.close()
    }
  return METRICS.flatMap(([key, metric, unit]) => {
    const cold = median(rounds.cold.map((times) => times[key]))
    const warm = median(rounds.warm.map((times) => times[key]))
    const name = '15M fp32'
    return [
      { suite: 'weights', case: `${name}, cold`, metric, value: cold, unit },
      {
        suite: 'weights',
        case: `${name}, warm`,
        metric,
        value: warm,
        unit,
        ...(unit === 'ms' ? { against: 'cold', ratio: cold / warm } : {}),
      },
    ]
  })
}

type LoadKind = 'cold' | 'warm'

interface LoadTimes {
  /** Milliseconds. */
  readonly load: number
  /** From the first line of the page's script, the start of the worker included, to the first token. */
  readonly firstToken: number
  /** Growth of the renderer's resident memory at its peak, over the bytes of the model's files. NaN without Linux's /proc. */
  readonly peak: number
}

const METRICS = [
  ['load', 'load', 'ms'],
  ['firstToken', 'first token', 'ms'],
  ['peak', 'peak memory', '× model'],
] as const

/** A fresh page, as a visitor has it, whose store is empty or has the model. */
async function timeLoad(page: Page, kind: LoadKind): Promise<LoadTimes> {
  await page.evaluate(async (isCold) => {
    const client = await window.tabserve.createClient()
    if (isCold) await client.clearCache()
    client.dispose()
  }, kind === 'cold')
  const memory = await watchRenderers(page)
  const { modelBytes, ...times } = await page.evaluate(async () => {
    const started = performance.now()
    const client = await window.tabserve.createClient()
    const asked = performance.now()
    const { id, manifest } = await client.load('/fixtures/bench/15m/')
    const load = performance.now() - asked
    const request = { model: id, prompt: 'Once upon a time', maxTokens: 1, ignoreEos: true }
    await client.generate(request)
    const firstToken = performance.now() - started
    client.dispose()
    return { load, firstToken, modelBytes: manifest.files.reduce((sum, { bytes }) => sum + bytes, 0) }
  })
  return { ...times, peak: (await memory.stop()) / modelBytes }
}

async function stores({ openHarness, log }: BenchContext): Promise<Figure[]> {
  const page = await openHarness()
  const figures: Figure[] = []
  for (const megabytes of MEGABYTES) {
    log(`Stores, ${megabytes} MB.`)
    const times = new Map<TimedStore, { putMs: number; getMs: number }[]>(STORES.map((kind) => [kind, []]))
    for (let round = 0; round < ROUNDS; round++)
      for (const kind of STORES) {
        const numBytes = megabytes * 2 ** 20
        times
          .get(kind)
          ?.push(
            await page.evaluate(([kind, numBytes]) => window.harness.timeStore(kind, numBytes), [
              kind,
              numBytes,
            ] as const),
          )
      }
    for (const [kind, rounds] of times)
      for (const metric of ['putMs', 'getMs'] as const) {
        const rate = (1000 * megabytes) / median(rounds.map((round) => round[metric]))
        const name = metric === 'putMs' ? 'write' : 'read'
        figures.push({
          suite: 'weights',
          case: `${megabytes} MB, ${kind}`,
          metric: name,
          value: rate,
          unit: 'MB/s',
        })
      }
  }
  return figures
}
