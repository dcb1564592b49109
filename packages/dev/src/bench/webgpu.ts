import { join } from 'node:path'
import { makeRandomModel } from '@tabserve/convert'
import type { Page } from 'playwright'
import { SOFTWARE_GPU } from '../launch-browser.ts'
import type { Figure, Suite } from './figure.ts'
import { interleave, median } from './interleave.ts'
import { SHAPE_TINY } from './shapes.ts'

const ROWS = 4
const CONTEXT = 100
const STEPS = 8
const ROUNDS = 3
const LOADS = 3

/** What is measured against what it would be without: KV that is made anew in every step, whole rows of logits read back. */
const MODES = {
  'fresh presents, whole logits': { inPlace: false, reduce: false },
  'in place, whole logits': { inPlace: true, reduce: false },
  'in place, top 1': { inPlace: true, reduce: true },
} as const
type Mode = keyof typeof MODES
const BASELINE: Mode = 'fresh presents, whole logits'

/** What keeping KV and logits on the GPU is worth. On a software adapter bytes mean what they say, and milliseconds little. */
export const webgpu: Suite = {
  about:
    'ms and bytes a step on WebGPU: KV in place against made anew, top 1 against whole logits; the first request behind a load; software adapter',
  browserArgs: [SOFTWARE_GPU],
  async run({ openHarness, openPage, fixtures, log }) {
    await makeRandomModel({
      shape: SHAPE_TINY,
      contextLength: 256,
      weights: 'q4',
      out: join(fixtures, 'tiny-q4'),
      name: 'random-tiny',
      version: '1',
    })
    const page = await openHarness()
    const ids = new Map<Mode, number>()
    for (const mode of Object.keys(MODES) as Mode[]) {
      log(`Loading: ${mode}.`)
      ids.set(mode, await open(page, mode))
    }
    const cases = Object.fromEntries(
      [...ids].map(([mode, id]) => [mode, () => medianStep(page, id)]),
    ) as Record<Mode, () => Promise<number>>
    const ms = await interleave(cases, ROUNDS)
    const figures: Figure[] = []
    for (const [mode, id] of ids) {
      const figure = { suite: 'webgpu', case: `${ROWS} rows, ${mode}` }
      const against = `${ROWS} rows, ${BASELINE}`
      const compared = mode === BASELINE ? {} : { against, ratio: ms[BASELINE] / ms[mode] }
      figures.push({ ...figure, metric: 'step', value: ms[mode], unit: 'ms', ...compared })
      const { readBytes, copiedBytes, sentBytes } = await bytesPerStep(page, id)
      figures.push(
        { ...figure, metric: 'read back', value: readBytes, unit: 'bytes' },
        { ...figure, metric: 'KV moved', value: copiedBytes, unit: 'bytes' },
        { ...figure, metric: 'sent', value: sentBytes, unit: 'bytes' },
      )
    }
    log('Loading three times, for the first requests behind a load.')
    const ttft: number[][] = []
    for (let load = 0; load < LOADS; load++) ttft.push(await firstTokens(await openPage()))
    const [first = [], , third = []] = [0, 1, 2].map((request) => ttft.map((times) => times[request] ?? NaN))
    const figure = { suite: 'webgpu', metric: 'first token', unit: 'ms' }
    figures.push({ ...figure, case: 'third request of a load', value: median(third) })
    const against = 'third request of a load'
    const ratio = median(third) / median(first)
    figures.push({ ...figure, case: 'first request of a load', value: median(first), against, ratio })
    return figures
  },
}

/** Loads the model and asks it three times, each time with other words: milliseconds to the first token of each. */
async function firstTokens(page: Page): Promise<number[]> {
  const times = await page.evaluate(async () => {
    const client = await window.tabserve.createClient()
    const { id } = await client.load('/fixtures/bench/tiny-q4/', { device: 'webgpu', maxRunning: 4 })
    const times: number[] = []
    for (const seed of [100, 200, 300]) {
      const promptTokens = Array.from({ length: 24 }, (_, at) => seed + at)
      const { timing } = await client.generate({ model: id, promptTokens, maxTokens: 4, temperature: 0 })
      times.push(timing.firstTokenMs ?? NaN)
    }
    client.dispose()
    return times
  })
  await page.close()
  return times
}

function open(page: Page, mode: Mode): Promise<number> {
  return page.evaluate(
    async ({ gpuMode, rows }) => {
      const url = new URL('/fixtures/bench/tiny-q4/', location.href).href
      const { harness, assets } = window
      return (await harness.open({ url, runner: 'webgpu', assets, rows, gpuMode })).id
    },
    { gpuMode: MODES[mode], rows: ROWS },
  )
}

async function medianStep(page: Page, id: number): Promise<number> {
  return median(
    await page.evaluate(
      ([id, rows, context, steps]) => window.harness.timeSteps(id, rows, context, 1, steps),
      [id, ROWS, CONTEXT, STEPS] as const,
    ),
  )
}

function bytesPerStep(page: Page, id: number) {
  return page.evaluate(
    async ([id, rows, context]) => {
      const { harness } = window
      const before = await harness.traffic(id)
      const step = { from: context, tokens: [7], wantLogits: 'last' as const, top: 1 }
      await harness.runTop(
        id,
        Array.from({ length: rows }, (_, row) => ({ ...step, kv: { row } })),
      )
      const after = await harness.traffic(id)
      return {
        readBytes: after.readBytes - before.readBytes,
        copiedBytes: after.copiedBytes - before.copiedBytes,
        sentBytes: after.sentBytes - before.sentBytes,
      }
    },
    [id, ROWS, CONTEXT] as const,
  )
}
