import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { RunnerName } from '../../packages/protocol/src/index.ts'
import { MODEL, NO_SHARED, SHARED, expect, hasShared, test } from './fixtures.ts'

interface Golden {
  readonly greedy_ids: number[]
  readonly first_logits: number[]
  readonly last_logits: number[]
}

test.skip(!hasShared, NO_SHARED)

for (const runner of ['kernels', 'heap', 'public'] as const satisfies readonly RunnerName[]) {
  test(`${runner}: stories260K in fp32 gives the golden ids and logits`, async ({ harnessPage }) => {
    const golden = JSON.parse(
      await readFile(join(SHARED, 'models/golden/stories260K.json'), 'utf8'),
    ) as Golden
    const found = await harnessPage.evaluate(
      async ({ url, runner, length }) => {
        const model = await window.harness.open({
          url: new URL(url, location.href).href,
          runner,
          assets: window.assets,
        })
        const { tokens, first, last } = await window.harness.greedy(model.id, [1], length)
        return { runner: model.runner, tokens, first: [...first], last: [...last] }
      },
      { url: MODEL.fp32, runner, length: golden.greedy_ids.length },
    )
    expect(found.runner).toBe(runner)
    expect(found.tokens).toEqual(golden.greedy_ids)
    expect(largestDifference(found.first, golden.first_logits)).toBeLessThan(1e-3)
    expect(largestDifference(found.last, golden.last_logits)).toBeLessThan(1e-3)
  })
}

test('int8 weights stay close to fp32 on held-out stories', async ({ harnessPage }) => {
  const stories = (await readFile(join(SHARED, 'corpora/tinystories-valid.txt'), 'utf8')).slice(0, 16_000)
  const found = await harnessPage.evaluate(
    async ({ urls, text }) => {
      const score = async (url: string) => {
        const model = await window.harness.open({
          url: new URL(url, location.href).href,
          runner: 'heap',
          assets: window.assets,
        })
        const tokens = await window.harness.encode(model.id, text)
        const { nll, top } = await window.harness.score(model.id, tokens, 256)
        const [logits = new Float32Array()] = await window.harness.run(model.id, [
          { kv: { row: 0 }, from: 0, tokens: tokens.slice(0, 64), wantLogits: 'all' },
        ])
        return { nll, top, logits: [...logits] }
      }
      return { fp32: await score(urls.fp32), int8: await score(urls.int8) }
    },
    { urls: MODEL, text: stories },
  )
  const { fp32, int8 } = found
  const agreement = fp32.top.filter((token, index) => token === int8.top[index]).length / fp32.top.length
  const perplexity = { fp32: Math.exp(mean(fp32.nll)), int8: Math.exp(mean(int8.nll)) }
  const logitError = largestDifference(fp32.logits, int8.logits)
  console.log(
    `stories260K int8 against fp32, ${fp32.nll.length} tokens: largest logit error ${logitError.toFixed(3)} ` +
      `(bound 1.5), top-1 agreement ${(100 * agreement).toFixed(1)} % (bound 93 %), perplexity ` +
      `${perplexity.int8.toFixed(3)} / ${perplexity.fp32.toFixed(3)} = ${(perplexity.int8 / perplexity.fp32).toFixed(4)} (bound 1.02)`,
  )
  expect(logitError).toBeLessThan(1.5)
  expect(agreement).toBeGreaterThan(0.93)
  expect(perplexity.int8 / perplexity.fp32).toBeLessThan(1.02)
})

function largestDifference(a: readonly number[], b: readonly number[]): number {
  expect(a.length).toBe(b.length)
  return a.reduce((largest, value, index) => Math.max(largest, Math.abs(value - (b[index] ?? NaN))), 0)
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}
