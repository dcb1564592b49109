import type { Distribution, ModelHealth, ModelInfo, ModelStats } from '@tabserve/protocol'
import type { Metric, Sample } from './metric.ts'

/** What metrics are made of. */
export interface MeasuredModel {
  readonly info: ModelInfo
  readonly stats: ModelStats
  /** Absent where nobody watches over its workers. */
  readonly health?: ModelHealth
}

/** Makes metrics of one type, one sample or more a model. */
export type MetricMaker = (
  name: string,
  help: string,
  samplesOf: (model: MeasuredModel) => readonly Sample[],
) => Metric

/** @param labelsOf what every sample of a model is labelled with. */
export function metricMakers(
  models: readonly MeasuredModel[],
  labelsOf: (model: MeasuredModel) => Sample['labels'],
): Readonly<Record<Metric['type'], MetricMaker>> {
  const maker =
    (type: Metric['type']): MetricMaker =>
    (name, help, samplesOf) => ({
      name: `tabserve:${name}`,
      help,
      type,
      samples: models.flatMap((model) =>
        samplesOf(model).map(({ labels, value }) => ({ labels: { ...labelsOf(model), ...labels }, value })),
      ),
    })
  return { gauge: maker('gauge'), counter: maker('counter'), histogram: maker('histogram') }
}

export function one(value: number): Sample[] {
  return [{ labels: {}, value }]
}

export function each(label: string, values: Readonly<Record<string, number>>): Sample[] {
  return Object.entries(values).map(([name, value]) => ({ labels: { [label]: name }, value }))
}

/** Of milliseconds. */
export function seconds(distribution: Distribution): Sample[] {
  return spread(distribution, 1000)
}

/** @param unit what one of the values is divided by. */
export function spread({ bounds, counts, sum, count }: Distribution, unit = 1): Sample[] {
  let below = 0
  const buckets = bounds.map((bound, index) => ({
    bound: bound / unit,
    count: (below += counts[index] ?? 0),
  }))
  return [{ labels: {}, value: { buckets, sum: sum / unit, count } }]
}
