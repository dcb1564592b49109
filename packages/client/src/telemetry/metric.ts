/** One figure of all models, as monitoring systems have it. */
export interface Metric {
  /** With prefix and unit, without the endings that a text form adds. */
  readonly name: string
  readonly help: string
  readonly type: 'gauge' | 'counter' | 'histogram'
  readonly samples: readonly Sample[]
}

/** One value of a metric, told from its others by its labels. */
export interface Sample {
  readonly labels: Readonly<Record<string, string>>
  readonly value: number | HistogramValue
}

/** How values are spread. */
export interface HistogramValue {
  /** How many values are at most as large as each bound. */
  readonly buckets: readonly { readonly bound: number; readonly count: number }[]
  readonly sum: number
  readonly count: number
}
