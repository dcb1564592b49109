import { join } from 'node:path'
import { makeRandomModel } from '@tabserve/convert'
import type { Page } from 'playwright'
import type { TimedStore } from '../harness/store-timer.ts'
import type { BenchContext, Figure, Suite } from './figure.ts'
import { interleave, median } from './interleave.ts'
import { SHAPE_15M } from './shapes.ts'

const ROUNDS = 3
const STORES: readonly TimedStore[] = ['indexeddb', 'opfs', 'cache']
const MEGABYTES = [64, 512]

/** Loading from the store against loading from a server on this machine, and what stores cost. */
export const weights: Suite = {
  about: 'warm load against cold load; IndexedDB against OPFS and the Cache API, 64 and 512 MB',
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
  const page = await openPage()
  const ms = await interleave(
    {
      cold: () => timeLoad(page, true),
      warm: () => timeLoad(page, false),
    },
    ROUNDS,
  )
  const name = '15M fp32'
  return [
    { suite: 'weights', case: `${name}, cold`, metric: 'load', value: ms.cold, unit: 'ms' },
    {
      suite: 'weights',
      case: `${name}, warm`,
      metric: 'load',
      value: ms.warm,
      unit: 'ms',
      against: 'cold',
      ratio: ms.cold / ms.warm,
    },
  ]
}

function timeLoad(page: Page, isCold: boolean): Promise<number> {
  return page.evaluate(async (isCold) => {
    const client = await window.tabserve.createClient()
    if (isCold) await client.clearCache()
    const started = performance.now()
    await client.load('/fixtures/bench/15m/')
    const ms = performance.now() - started
    client.dispose()
    return ms
  }, isCold)
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
