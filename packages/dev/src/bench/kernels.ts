import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { RandomShape } from '@tabserve/convert'
import { makeRandomModel } from '@tabserve/convert'
import type { Page } from 'playwright'
import type { BenchContext, Figure, Suite } from './figure.ts'
import { interleave, median } from './interleave.ts'
import { SHAPE_135M, SHAPE_15M } from './shapes.ts'

const CAPACITY = 1600
const BATCHES = [1, 2, 4, 8, 16]
const CONTEXTS = [64, 512, 1500]
const PROMPTS = [128, 512]
const CHUNK = 128
const STEPS = 5
const ROUNDS = 3
/** onnxruntime's threads spin on for a while after a step, and would take the next one's core. */
const PAUSE_MS = 100
const SHAPES = { '15M': SHAPE_15M, '135M': SHAPE_135M } as const

/** What runs, and on which weights: onnxruntime-web in the form that is fastest there, and the kernels on both of theirs. */
const CASES = {
  'onnxruntime int8': { runner: 'heap', weights: 'int8' },
  'kernels int8': { runner: 'kernels', weights: 'int8' },
  'kernels q4': { runner: 'kernels', weights: 'q4' },
} as const
type Case = keyof typeof CASES
type Shape = keyof typeof SHAPES
const BASELINE: Case = 'onnxruntime int8'

interface Opened {
  readonly id: number
  readonly loadMs: number
  readonly heapBytes: number | undefined
}

/** The kernels against onnxruntime-web on random weights, in one run. */
export const kernels: Suite = {
  about:
    'ms per step, prompt tokens/s, load time: kernels against onnxruntime-web; 15M and 135M, 1 and 2 threads',
  async run(bench) {
    const figures: Figure[] = []
    for (const shape of Object.keys(SHAPES) as Shape[]) {
      for (const weights of ['int8', 'q4'] as const) {
        bench.log(`Making a random ${shape} model, ${weights}.`)
        const out = join(bench.fixtures, `${shape}-${weights}`)
        await makeRandomModel({
          shape: SHAPES[shape],
          contextLength: CAPACITY,
          weights,
          out,
          name: 'random',
          version: '1',
        })
      }
      for (const threads of [1, 2]) figures.push(...(await measure(bench, shape, threads)))
    }
    return figures
  },
}

async function measure({ openHarness, log }: BenchContext, shape: Shape, threads: number): Promise<Figure[]> {
  const page = await openHarness()
  const name = `${shape}, ${threads} thread${threads > 1 ? 's' : ''}`
  const opened = new Map<Case, Opened>()
  for (const [key, { runner, weights }] of Object.entries(CASES))
    opened.set(key as Case, await open(page, `/fixtures/bench/${shape}-${weights}/`, runner, threads))
  const id = (key: Case) => opened.get(key)?.id ?? 0
  const figures: Figure[] = []
  if (threads === 1) figures.push(...(await bandwidth(page, name, id('kernels q4'), shape)))
  for (const [key, { loadMs, heapBytes }] of opened) {
    figures.push({ suite: 'kernels', case: `${name}, ${key}`, metric: 'load', value: loadMs, unit: 'ms' })
    if (heapBytes !== undefined)
      figures.push({
        suite: 'kernels',
        case: `${name}, ${key}`,
        metric: 'heap',
        value: heapBytes / 1e6,
        unit: 'MB',
      })
  }
  for (const batch of BATCHES)
    for (const context of CONTEXTS) {
      log(`${name}: ${batch} rows, context ${context}.`)
      const time = (key: Case) => async () => median(await timeSteps(page, id(key), batch, context))
      figures.push(...(await compare(`${name}, batch ${batch}, context ${context}`, 'step', 'ms', time)))
    }
  for (const length of PROMPTS) {
    log(`${name}: prompt of ${length}.`)
    const time = (key: Case) => () => timePrompt(page, id(key), length)
    figures.push(...(await compare(`${name}, prompt ${length}`, 'prompt', 'ms', time)))
  }
  await page.close()
  return figures
}

/** How fast the heap can be read at all, and how much of that a step of one row uses: all 4-bit weights go by once. */
async function bandwidth(page: Page, name: string, id: number, shape: Shape): Promise<Figure[]> {
  const { read, step } = await interleave(
    {
      read: () => page.evaluate(() => window.harness.readBandwidth(window.assets)),
      step: async () => median(await timeSteps(page, id, 1, 64)),
    },
    ROUNDS,
  )
  const share = (weightBytes(SHAPES[shape]) / (step / 1000) / read) * 100
  const figure = { suite: 'kernels', case: name }
  return [
    { ...figure, metric: 'heap read', value: read / 1e9, unit: 'GB/s' },
    { ...figure, case: `${name}, kernels q4, batch 1`, metric: 'of heap read', value: share, unit: '%' },
  ]
}

/** Bytes of a tied model's matrices in 4-bit blocks: 18 for 32 weights. */
function weightBytes({ hiddenSize, layers, heads, kvHeads, hiddenDim, vocabSize }: RandomShape): number {
  const headDim = hiddenSize / heads
  const perLayer = hiddenSize * (2 * hiddenSize + 2 * kvHeads * headDim + 3 * hiddenDim)
  return ((layers * perLayer + vocabSize * hiddenSize) * 18) / 32
}

/** All cases in turns; the kernels' figures say how much faster than onnxruntime they are. */
async function compare(
  name: string,
  metric: string,
  unit: string,
  time: (key: Case) => () => Promise<number>,
): Promise<Figure[]> {
  const keys = Object.keys(CASES) as Case[]
  const rested = (key: Case) => async () => {
    await setTimeout(PAUSE_MS)
    return time(key)()
  }
  const tasks = Object.fromEntries(keys.map((key) => [key, rested(key)])) as Record<
    Case,
    () => Promise<number>
  >
  const values = await interleave(tasks, ROUNDS)
  return keys.map((key) => {
    const figure = { suite: 'kernels', case: `${name}, ${key}`, metric, value: values[key], unit }
    return key === BASELINE ? figure : { ...figure, against: BASELINE, ratio: values[BASELINE] / values[key] }
  })
}

function open(page: Page, folder: string, runner: 'heap' | 'kernels', threads: number): Promise<Opened> {
  return page.evaluate(
    async ({ folder, runner, threads, rows, contextLength, maxTokensPerStep }) => {
      const started = performance.now()
      const { id, heapBytes } = await window.harness.open({
        url: new URL(folder, location.href).href,
        runner,
        assets: window.assets,
        threads,
        rows,
        contextLength,
        maxTokensPerStep,
        kvBudgetBytes: 2 ** 31,
      })
      return { id, heapBytes, loadMs: performance.now() - started }
    },
    { folder, runner, threads, rows: Math.max(...BATCHES), contextLength: CAPACITY, maxTokensPerStep: CHUNK },
  )
}

function timeSteps(page: Page, id: number, rows: number, context: number): Promise<number[]> {
  return page.evaluate(
    ([id, rows, context, steps]) => window.harness.timeSteps(id, rows, context, 1, steps),
    [id, rows, context, STEPS] as const,
  )
}

function timePrompt(page: Page, id: number, length: number): Promise<number> {
  return page.evaluate(([id, length, chunk]) => window.harness.timePrompt(id, length, chunk), [
    id,
    length,
    CHUNK,
  ] as const)
}
