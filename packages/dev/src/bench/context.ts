import { join } from 'node:path'
import { makeRandomModel } from '@tabserve/convert'
import type { Page } from 'playwright'
import type { Figure, Suite } from './figure.ts'
import { interleave, median } from './interleave.ts'
import { SHAPE_15M } from './shapes.ts'

const CAPACITY = 2048
const CONTEXTS = [64, 256, 512, 1024, 1536]
const STEPS = 12
const ROUNDS = 5

/** What a token costs as the context grows: KV bound inside the wasm heap against KV through onnxruntime-web's public API. */
export const context: Suite = {
  about:
    'ms per token over context: KV in the heap (capacity 2048) against the public API (capacity that just fits); 15M, int8, one thread',
  async run({ openHarness, fixtures, log }) {
    log('Making a random model of the 15M shape.')
    await makeRandomModel({
      shape: SHAPE_15M,
      contextLength: CAPACITY,
      weights: 'int8',
      out: join(fixtures, '15m'),
      name: 'random-15m',
      version: '1',
    })
    const page = await openHarness()
    const heap = await open(page, 'heap', CAPACITY)
    const figures: Figure[] = []
    for (const length of CONTEXTS) {
      log(`Context ${length}.`)
      // The public API copies the whole cache whatever it holds: it gets one that just fits, the kindest comparison.
      const throughPublic = await open(page, 'public', length + 1)
      const ms = await interleave(
        { heap: () => medianStep(page, heap, length), public: () => medianStep(page, throughPublic, length) },
        ROUNDS,
      )
      await page.evaluate((id) => window.harness.close(id), throughPublic)
      const figure = { suite: 'context', metric: 'ms per token', unit: 'ms' }
      figures.push({ ...figure, case: `public, context ${length}`, value: ms.public })
      const against = `public, context ${length}`
      figures.push({
        ...figure,
        case: `heap, context ${length}`,
        value: ms.heap,
        against,
        ratio: ms.public / ms.heap,
      })
    }
    return figures
  },
}

function open(page: Page, runner: 'heap' | 'public', contextLength: number): Promise<number> {
  return page.evaluate(
    async ({ runner, contextLength }) => {
      const url = new URL('/fixtures/bench/15m/', location.href).href
      return (await window.harness.open({ url, runner, assets: window.assets, contextLength })).id
    },
    { runner, contextLength },
  )
}

async function medianStep(page: Page, id: number, length: number): Promise<number> {
  return median(
    await page.evaluate(([id, length, steps]) => window.harness.timeSteps(id, 1, length, 1, steps), [
      id,
      length,
      STEPS,
    ] as const),
  )
}
