import { soak } from '../../packages/dev/src/soak/soak.ts'
import { expect, test } from './fixtures.ts'

// Ten minutes of the same: `npm run bench -- soak`.
test('24 people in two tabs lose nothing and leave nothing behind, though a worker dies, the model sleeps and a tab closes', async ({
  context,
  site,
}) => {
  test.setTimeout(120_000)
  const { problems, visits } = await soak({
    seconds: 6,
    heaps: 'page',
    log: () => {},
    async openPage() {
      const page = await context.newPage()
      await page.goto(new URL('/script-tag/blank.html', site.url).href)
      return page
    },
  })
  expect(problems).toEqual([])
  for (const kind of ['whole', 'held', 'conversation', 'aborted', 'left', 'saved'])
    expect(visits[0]?.asked[kind]).toBeGreaterThan(0)
})
