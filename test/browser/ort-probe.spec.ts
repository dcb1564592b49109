import { expect, test } from './fixtures.ts'

for (const runner of ['public', 'heap'] as const) {
  test(`${runner}: the self-test of the heap interface compares with what this runner computes`, async ({
    harnessPage,
  }) => {
    const { recorded, found } = await harnessPage.evaluate(
      (runner) => window.harness.probe(runner, window.assets),
      runner,
    )
    expect(found.map((step) => step.map((logit) => logit.toFixed(3)))).toEqual(
      recorded.map((step) => step.map((logit) => logit.toFixed(3))),
    )
  })
}
