import { expect, test } from './fixtures.ts'

for (const binding of ['public', 'heap'] as const) {
  test(`${binding}: the self-test of the heap interface compares with what this binding computes`, async ({
    harnessPage,
  }) => {
    const { recorded, found } = await harnessPage.evaluate(
      (binding) => window.harness.probe(binding, window.assets),
      binding,
    )
    expect(found.map((step) => step.map((logit) => logit.toFixed(3)))).toEqual(
      recorded.map((step) => step.map((logit) => logit.toFixed(3))),
    )
  })
}
