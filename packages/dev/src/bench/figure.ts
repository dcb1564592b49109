import type { Page } from 'playwright'

/** One measured number; with `--json`, one line. */
export interface Figure {
  readonly suite: string
  readonly case: string
  readonly metric: string
  /** Median over interleaved rounds. */
  readonly value: number
  readonly unit: string
  /** The case that this one is compared with, and `value of against / value`: above 1 means that this one is faster. */
  readonly against?: string
  readonly ratio?: number
}

export interface Suite {
  /** One line for the list. */
  readonly about: string
  /** Command-line arguments that its browser needs. */
  readonly browserArgs?: readonly string[]
  run(bench: BenchContext): Promise<Figure[]>
}

export interface BenchContext {
  /** A page of the built site with `window.harness`, cross-origin isolated, in a fresh browser. */
  openHarness(): Promise<Page>
  /** A page of the built site with `window.tabserve`, as a user's page has it; cross-origin isolated too. */
  openPage(): Promise<Page>
  /** A folder that is served at `/fixtures/bench/` and removed afterwards. */
  readonly fixtures: string
  /** Says what is going on, to standard error. */
  log(text: string): void
}
