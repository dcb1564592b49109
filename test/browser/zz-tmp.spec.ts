import { MODEL, test } from './fixtures.ts'
test.use({ gpu: true })
test.describe.configure({ timeout: 400_000 })
test('figures', async ({ harnessPage }) => {
  for (const model of ['fp32', 'q4'] as const) {
    const found = await harnessPage.evaluate(
      async ({ url }) => {
        const { harness, assets } = window
        const folder = new URL(url, location.href).href
        const of = async (runner: 'webgpu' | 'kernels' | 'heap', kvType: 'float32' | 'float16') => {
          const base = {
            url: folder,
            runner,
            assets,
            kvType,
            rows: 2,
            contextLength: 200,
            maxTokensPerStep: 128,
          }
          const {
            id,
            placement,
            chunk,
            kvType: has,
            activations,
            reason,
            maxKvBytes,
          } = (await harness.open(base)) as any
          const tokens = Array.from({ length: 100 }, (_, i) => 260 + ((i * 37) % 150))
          let rows: number[][] = []
          for (let at = 0; at < 100; at += chunk) {
            const [logits] = await harness.run(id, [
              { kv: { row: 0 }, from: at, tokens: tokens.slice(at, at + chunk), wantLogits: 'all' },
            ])
            rows.push([...logits!])
          }
          const all = rows.flat()
          const { tokens: said } = (await harness.greedy(id, [1, 403, 407, 261, 378], 60)) as any
          const t0 = performance.now()
          for (let i = 0; i < 10; i++)
            await harness.run(id, [{ kv: { row: 0 }, from: 50 + i, tokens: [300], wantLogits: 'last' }])
          const ms = (performance.now() - t0) / 10
          await harness.close(id)
          return { all, said, facts: { placement, chunk, has, activations, reason, maxKvBytes, ms } }
        }
        const wanted = await of('heap', 'float32')
        const out: any[] = []
        for (const kvType of ['float32', 'float16'] as const) {
          const f = await of('webgpu', kvType)
          let diff = 0
          f.all.forEach((v, i) => (diff = Math.max(diff, Math.abs(v - wanted.all[i]!))))
          out.push({
            kvType,
            diff,
            range: Math.max(...wanted.all) - Math.min(...wanted.all),
            sameText: f.said.findIndex((t: number, i: number) => t !== wanted.said[i]),
            n: f.said.length,
            facts: f.facts,
          })
        }
        return out
      },
      { url: MODEL[model] },
    )
    console.log(model, JSON.stringify(found, null, 1))
  }
})
