import type { KvType, RunnerName } from '../../packages/protocol/src/index.ts'
import { MODEL, NO_HALF, NO_SHARED, expect, hasShared, test } from './fixtures.ts'

test.skip(!hasShared, NO_SHARED)

interface Suite {
  readonly runner: RunnerName
  readonly models: readonly (keyof typeof MODEL)[]
  /** How far logits may be apart; halves round every sum that another order of sums gives. */
  readonly within: number
  readonly kvType?: KvType
}

/** Who passes the suite, on which models. */
const SUITES: readonly Suite[] = [
  { runner: 'kernels', models: ['fp32', 'int8'], within: 1e-4 },
  { runner: 'heap', models: ['fp32', 'int8', 'genai-float32'], within: 1e-4 },
  {
    runner: 'public',
    models: ['fp32', 'int8', 'genai-float32', 'optimum-float32', 'optimum-counted'],
    within: 1e-4,
  },
  { runner: 'heap', models: ['genai-float16'], within: 0.1 },
  { runner: 'public', models: ['genai-float16', 'optimum-float16'], within: 0.1 },
]

/** The conformance suite of `ModelRunner`: the same promises for every implementation. */
for (const suite of SUITES) describeRunner(suite)

test.describe('on a software GPU', () => {
  test.use({ gpu: true })
  test.describe.configure({ timeout: 180_000 })
  // int8 graphs would compute on the CPU: see `GpuDevice`.
  describeRunner({ runner: 'webgpu', models: ['fp32', 'q4'], within: 1e-4 })

  // fp32 weights: attention in halves; q4: everything.
  test.describe('in halves', () => {
    test.beforeEach(({ hasHalf }) => test.skip(!hasHalf, NO_HALF))
    describeRunner({ runner: 'webgpu', models: ['fp32', 'q4'], within: 0.1, kvType: 'float16' })
  })
})

function describeRunner({ runner, models, within, kvType }: Suite): void {
  for (const model of models) {
    test(`${runner}, ${model}: chunks, rows and rollbacks give what one pass alone gives`, async ({
      harnessPage,
    }) => {
      const found = await harnessPage.evaluate(
        async ({ url, runner, kvType }) => {
          const { harness, assets } = window
          const folder = new URL(url, location.href).href
          const open = { url: folder, runner, assets, kvType, rows: 3, contextLength: 64 }
          const { id } = await harness.open(open)
          const prompts = [
            [1, 403, 407, 261, 378, 432, 383],
            [1, 286, 261, 376],
            [1, 298, 315, 421, 395, 317, 426, 338, 401],
          ]
          const prefill = (row: number, tokens: number[], wantLogits: 'last' | 'all' = 'last') =>
            harness.run(id, [{ kv: { row }, from: 0, tokens, wantLogits }])
          const last = async (work: Promise<Float32Array[]>) => [...((await work)[0] ?? [])]

          // Alone, in row 0: every prompt and one more token.
          const whole: number[][] = []
          const alone: number[][] = []
          for (const prompt of prompts) {
            whole.push(await last(prefill(0, prompt)))
            alone.push(
              await last(
                harness.run(id, [{ kv: { row: 0 }, from: prompt.length, tokens: [300], wantLogits: 'last' }]),
              ),
            )
          }
          // In pieces, token by token.
          const prompt = prompts[2] ?? []
          let pieces: number[] = []
          for (const [from, token] of prompt.entries()) {
            pieces = await last(
              harness.run(id, [{ kv: { row: 0 }, from, tokens: [token], wantLogits: 'last' }]),
            )
          }
          const all = (await prefill(0, prompt, 'all'))[0] ?? new Float32Array()
          // Together, each in its own row.
          for (const [row, tokens] of prompts.entries()) await prefill(row, tokens)
          const together = await harness.run(
            id,
            prompts.map((tokens, row) => ({
              kv: { row },
              from: tokens.length,
              tokens: [300],
              wantLogits: 'last' as const,
            })),
          )
          // The other rows did not notice what row 1 did in between.
          await prefill(1, prompts[2] ?? [])
          const after = await last(
            harness.run(id, [{ kv: { row: 2 }, from: prompt.length, tokens: [300], wantLogits: 'last' }]),
          )
          const vocab = whole[2]?.length ?? 0
          await harness.close(id)
          return {
            whole,
            alone,
            pieces,
            allLast: [...all.slice(-vocab)],
            allCount: all.length / vocab,
            together: together.map((x) => [...x]),
            after,
          }
        },
        { url: MODEL[model], runner, kvType },
      )
      expect(found.allCount).toBe(9)
      expectClose(found.pieces, found.whole[2], within)
      expectClose(found.allLast, found.whole[2], within)
      found.together.forEach((logits, row) => expectClose(logits, found.alone[row], within))
      expectClose(found.after, found.alone[2], within)
    })

    test(`${runner}, ${model}: prompts together, rows that move, and a cache with room for long ones give what one pass alone gives`, async ({
      harnessPage,
    }) => {
      const found = await harnessPage.evaluate(
        async ({ url, runner, kvType }) => {
          const { harness, assets } = window
          const folder = new URL(url, location.href).href
          const open = {
            url: folder,
            runner,
            assets,
            kvType,
            rows: 4,
            contextLength: 400,
            maxTokensPerStep: 256,
          }
          const { id, chunk } = await harness.open(open)
          const last = 'last' as const
          const run = (row: number, from: number, tokens: number[]) => ({
            kv: { row },
            from,
            tokens,
            wantLogits: last,
          })
          const read = async (row: number, from: number, tokens: number[]) => {
            let logits: Float32Array[] = []
            for (let at = 0; at < tokens.length; at += chunk)
              logits = await harness.run(id, [run(row, from + at, tokens.slice(at, at + chunk))])
            return logits
          }
          const prompts = [
            [1, 403, 407, 261, 378, 432, 383],
            [1, 286, 261],
            [1, 298, 315, 421, 395, 317, 426],
          ]
          const plain = (rows: Float32Array[]) => rows.map((row) => [...row])
          const alone: number[][] = []
          const next: number[][] = []
          for (const prompt of prompts) {
            alone.push(...plain(await harness.run(id, [run(0, 0, prompt)])))
            next.push(...plain(await harness.run(id, [run(0, prompt.length, [300])])))
          }
          // Right-padded, in rows 1 to 3.
          const together = plain(
            await harness.run(
              id,
              prompts.map((tokens, index) => run(index + 1, 0, tokens)),
            ),
          )
          // 1 2 3 → 2 1 3, then row 3 to row 0 as well.
          await harness.copyKv(id, [
            { from: 1, to: 2, numTokens: 7, swap: true },
            { from: 3, to: 0, numTokens: 7, swap: false },
          ])
          const lengths = [7, 3, 7, 7]
          const moved = plain(
            await harness.run(
              id,
              lengths.map((length, row) => run(row, length, [300])),
            ),
          )
          const before = await harness.kvBytes(id)
          // A row that begins beside the others, and one that outgrows the first capacity.
          const long = Array.from({ length: 200 }, (_, index) => 260 + (index % 150))
          await read(1, 3, [300, ...long])
          const after = await harness.kvBytes(id)
          const grown = plain(
            await harness.run(id, [run(0, 7, [300]), run(1, 204, [300]), run(2, 7, [300]), run(3, 0, [1])]),
          )
          const wholeLong = plain(await read(3, 0, [...(prompts[1] ?? []), 300, ...long, 300]))
          const wholeOne = plain(await harness.run(id, [run(3, 0, [1])]))
          await harness.close(id)
          return { alone, next, together, moved, before, after, grown, wholeLong, wholeOne }
        },
        { url: MODEL[model], runner, kvType },
      )
      found.together.forEach((logits, index) => expectClose(logits, found.alone[index], within))
      const [first, second, third] = found.next
      for (const [index, wanted] of [third, second, first, third].entries())
        expectClose(found.moved[index], wanted, within)
      // On the GPU all of it is there from the first step.
      if (runner === 'webgpu') expect(found.after).toBe(found.before)
      else expect(found.after).toBeGreaterThan(found.before)
      const grown = [third, found.wholeLong[0], first, found.wholeOne[0]]
      for (const [index, wanted] of grown.entries()) expectClose(found.grown[index], wanted, within)
    })

    test(`${runner}, ${model}: KV goes to another runner as bytes, and the text goes on there`, async ({
      harnessPage,
    }) => {
      const check = harnessPage.evaluate(
        async ({ url, runner, kvType, within }) => {
          const { harness, assets } = window
          const folder = new URL(url, location.href).href
          const open = { url: folder, runner, assets, kvType, rows: 2, contextLength: 200 }
          const [first, second] = [await harness.open(open), await harness.open(open)]
          await harness.checkKvBytes(first.id, second.id, within)
        },
        { url: MODEL[model], runner, kvType, within },
      )
      await expect(check).resolves.toBeUndefined()
    })

    test(`${runner}, ${model}: a failed pass leaves the runner usable`, async ({ harnessPage }) => {
      const found = await harnessPage.evaluate(
        async ({ url, runner, kvType }) => {
          const { harness, assets } = window
          const { id } = await harness.open({ url: new URL(url, location.href).href, runner, assets, kvType })
          const run = (token: number) =>
            harness.run(id, [{ kv: { row: 0 }, from: 0, tokens: [token], wantLogits: 'last' }])
          const before = [...((await run(1))[0] ?? [])]
          const failure = await run(100_000).then(
            () => 'no failure',
            () => 'failed',
          )
          return { before, failure, after: [...((await run(1))[0] ?? [])] }
        },
        { url: MODEL[model], runner, kvType },
      )
      expect(found.failure).toBe('failed')
      expect(found.after).toEqual(found.before)
    })
  }
}

function expectClose(
  found: readonly number[] | undefined,
  wanted: readonly number[] | undefined,
  within: number,
): void {
  expect(found?.length).toBe(wanted?.length)
  const difference = found?.reduce(
    (largest, value, index) => Math.max(largest, Math.abs(value - (wanted?.[index] ?? NaN))),
    0,
  )
  expect(difference).toBeLessThan(within)
}
