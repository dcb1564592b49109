import { bytes } from '../chat/format.ts'
import { make } from '../chat/element.ts'
import type { Chart, ChartOptions } from './chart.ts'
import type { EngineFigures } from './engine-figures.ts'
import type { Recorder } from './recorder.ts'
import { brief } from './brief.ts'

const KEEP_MS = 61_000
const percent = (value: number) => `${Math.round(value)} %`
const plain = (value: number) =>
  value < 10 && value % 1 !== 0 ? value.toFixed(1) : String(Math.round(value))

interface Panel extends ChartOptions {
  readonly values: (recorder: Recorder, figures: EngineFigures) => readonly (number | undefined)[]
}

const VERSIONS = ['stories@1', 'stories@2']

/** Each chart, and where its values come from. */
const PANELS: readonly Panel[] = [
  {
    title: 'Requests a second',
    series: ['done', 'failed'],
    format: plain,
    least: 2,
    values: (recorder) => [recorder.doneRate(), recorder.failureRate()],
  },
  {
    title: 'Running and waiting',
    series: ['running', 'waiting'],
    format: plain,
    least: 8,
    values: (_, { running, waiting }) => [running, waiting],
  },
  {
    title: 'Answers in a forward pass',
    series: ['on average'],
    format: plain,
    least: 8,
    values: (recorder) => [recorder.occupancy()],
  },
  {
    title: 'Time to first token',
    series: ['median', '95th percentile'],
    format: brief,
    least: 50,
    values: (recorder) => [recorder.ttftMs(0.5), recorder.ttftMs(0.95)],
  },
  {
    title: 'From token to token',
    series: ['median', '95th percentile'],
    format: brief,
    least: 10,
    values: (recorder) => [recorder.interTokenMs(0.5), recorder.interTokenMs(0.95)],
  },
  {
    title: 'KV cache',
    series: ['hit rate', 'in use'],
    format: percent,
    least: 100,
    values: (_, { promptTokens, cachedTokens, kvUsage }) => [
      promptTokens === 0 ? undefined : (100 * cachedTokens) / promptTokens,
      100 * kvUsage,
    ],
  },
  {
    title: 'Memory',
    series: ['with weights', 'KV cache'],
    format: bytes,
    least: 1e7,
    values: (_, { heapBytes, kvBytes }) => [heapBytes + kvBytes, kvBytes],
  },
  {
    title: 'Versions, requests a second',
    series: VERSIONS,
    format: plain,
    least: 2,
    values: (recorder) => VERSIONS.map((version) => recorder.doneRate(version)),
  },
]

/** The charts of the page and the points that they have had. */
export class Board {
  readonly #charts: readonly { readonly panel: Panel; readonly chart: Chart }[]
  readonly #points: {
    readonly atMs: number
    readonly values: readonly (readonly (number | undefined)[])[]
  }[] = []

  /** Fetches the charting library. */
  static async create(host: HTMLElement): Promise<Board> {
    const { Chart } = await import('./chart.ts')
    return new Board(host, (...args) => new Chart(...args))
  }

  private constructor(host: HTMLElement, makeChart: (host: HTMLElement, options: ChartOptions) => Chart) {
    this.#charts = PANELS.map((panel) => {
      const card = make('section', { className: 'panel', testId: 'chart' })
      const place = make('div', { className: 'chart' })
      card.append(make('h2', { text: panel.title }), place)
      host.append(card)
      return { panel, chart: makeChart(place, panel) }
    })
  }

  /** Takes the values of now, and paints. */
  add(recorder: Recorder, figures: EngineFigures): void {
    const atMs = performance.now()
    const values = this.#charts.map(({ panel }) => panel.values(recorder, figures))
    this.#points.push({ atMs, values })
    while ((this.#points[0]?.atMs ?? atMs) < atMs - KEEP_MS) this.#points.shift()
    const ages = this.#points.map((point) => atMs - point.atMs)
    this.#charts.forEach(({ panel, chart }, at) => {
      const column = (series: number) => this.#points.map(({ values }) => values[at]?.[series])
      chart.show(
        ages,
        panel.series.map((_, series) => column(series)),
      )
    })
  }
}
