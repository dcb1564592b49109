import { expect, test } from 'playwright/test'
import { warmUp } from '../../packages/runtime/src/tasks/warm-up.ts'
import { FakeRunner } from './fake-runner.ts'

/** `rows × tokens` of each step, and how many of the largest logits it wants. */
async function stepsOf(runner: FakeRunner, compiles: boolean): Promise<string[]> {
  await warmUp(runner, compiles)
  return runner.steps.map(({ runs }) => `${runs.length}×${runs[0]!.tokens.length} top ${runs[0]!.top}`)
}

test('on the CPU one step of each kind is enough', async () => {
  const runner = new FakeRunner({ maxRows: 6, maxTokensPerStep: 8, batchedPrefill: true })
  expect(await stepsOf(runner, false)).toEqual(['1×8 top 0', '1×1 top 0', '6×1 top 0'])
})

test('on a GPU every width, short prompts, several together and the search for the largest logits are compiled before the first request', async () => {
  const runner = new FakeRunner({ maxRows: 6, maxTokensPerStep: 8, batchedPrefill: true })
  const decodes = [1, 2, 3, 4, 6].map((rows) => `${rows}×1 top 1`)
  expect(await stepsOf(runner, true)).toEqual(['1×8 top 0', ...decodes, '1×2 top 1', '2×2 top 1'])
})

test('a runner that can do little is asked no more than it can', async () => {
  expect(await stepsOf(new FakeRunner({ maxRows: 1, maxTokensPerStep: 1 }), true)).toEqual([
    '1×1 top 0',
    '1×1 top 1',
  ])
  const blocks = new FakeRunner({ maxRows: 4, mixed: true, paged: { numBlocks: 4, blockTokens: 4 } })
  expect((await stepsOf(blocks, true)).length).toBeGreaterThan(3)
})
