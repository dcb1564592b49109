import type { FullConfig, Reporter, Suite, TestCase } from 'playwright/types/testReporter'

/** Ends a run with one line that a person and a machine can read: `N passed, N failed, N skipped`. */
export default class TotalsReporter implements Reporter {
  #suite: Suite | undefined

  onBegin(_config: FullConfig, suite: Suite): void {
    this.#suite = suite
  }

  onExit(): Promise<void> {
    const tests = this.#suite?.allTests() ?? []
    const count = (...outcomes: ReturnType<TestCase['outcome']>[]) =>
      tests.filter((test) => outcomes.includes(test.outcome())).length
    const reasons = new Set(tests.filter((test) => test.outcome() === 'skipped').flatMap(skipReasons))
    for (const reason of reasons) console.log(`skipped: ${reason}`)
    console.log(
      `${count('expected', 'flaky')} passed, ${count('unexpected')} failed, ${count('skipped')} skipped`,
    )
    return Promise.resolve()
  }
}

function skipReasons(test: TestCase): string[] {
  return test.annotations
    .filter(({ type }) => type === 'skip')
    .map(({ description }) => description ?? 'without a reason')
}
