import type { HistogramValue, Metric, Sample } from './metric.ts'

/** Content type of `prometheusText`. */
export const PROMETHEUS_TYPE = 'text/plain; version=0.0.4; charset=utf-8'

/** Metrics in Prometheus' text format 0.0.4. Counters end in `_total`. */
export function prometheusText(metrics: readonly Metric[]): string {
  return metrics.map(familyText).join('')
}

function familyText({ name, help, type, samples }: Metric): string {
  const written = type === 'counter' ? `${name}_total` : name
  const lines = samples.flatMap((sample) => sampleLines(written, sample))
  return [`# HELP ${written} ${escaped(help)}`, `# TYPE ${written} ${type}`, ...lines, ''].join('\n')
}

function sampleLines(name: string, { labels, value }: Sample): string[] {
  return typeof value === 'number' ? [line(name, labels, value)] : histogramLines(name, labels, value)
}

function histogramLines(name: string, labels: Sample['labels'], value: HistogramValue): string[] {
  const { buckets, sum, count } = value
  const bucket = (le: string, count: number) => line(`${name}_bucket`, { ...labels, le }, count)
  return [
    ...buckets.map(({ bound, count }) => bucket(String(bound), count)),
    bucket('+Inf', count),
    line(`${name}_sum`, labels, sum),
    line(`${name}_count`, labels, count),
  ]
}

function line(name: string, labels: Sample['labels'], value: number): string {
  const written = Object.entries(labels).map(
    ([label, text]) => `${label}="${escaped(text).replaceAll('"', '\\"')}"`,
  )
  return `${name}{${written.join(',')}} ${value}`
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('\n', '\\n')
}
