import UPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'

export interface ChartOptions {
  readonly title: string
  readonly series: readonly string[]
  /** What a value looks like on the axis. */
  readonly format: (value: number) => string
  /** Top of the axis at least, so that noise near zero does not fill the picture. */
  readonly least: number
}

const HEIGHT = 150
/** Seconds on the time axis. */
const SPAN = 60

/** Lines over the last minute: the page's door to uPlot. */
export class Chart {
  readonly #plot: UPlot
  readonly #host: HTMLElement

  constructor(host: HTMLElement, { series, format, least }: ChartOptions) {
    const style = getComputedStyle(host)
    const color = (name: string) => style.getPropertyValue(name).trim()
    const axis = {
      stroke: color('--muted'),
      font: `11px ${color('--sans')}`,
      grid: { stroke: color('--line'), width: 1 },
      ticks: { show: false },
    }
    this.#host = host
    this.#plot = new UPlot(
      {
        width: host.clientWidth,
        height: HEIGHT,
        cursor: { y: false },
        legend: { live: false, show: series.length > 1 },
        scales: { x: { time: false }, y: { range: (_, __, max) => [0, Math.max(least, (max ?? 0) * 1.15)] } },
        axes: [
          { ...axis, size: 24, values: (_, ticks) => ticks.map((second) => `${second} s`) },
          { ...axis, size: 54, space: 34, values: (_, ticks) => ticks.map(format) },
        ],
        series: [
          {},
          ...series.map((label, index) => ({
            label,
            stroke: color(`--line-${index + 1}`),
            width: 2,
            points: { show: false },
            ...(series.length === 1 ? { fill: color('--line-1-wash') } : {}),
          })),
        ],
      },
      [[], ...series.map(() => [])],
      host,
    )
    new ResizeObserver(() => this.#plot.setSize({ width: host.clientWidth, height: HEIGHT })).observe(host)
  }

  /** @param agesMs of each point, oldest first, ending near 0. @param columns one a series; `undefined` leaves a gap. */
  show(agesMs: readonly number[], columns: readonly (readonly (number | undefined)[])[]): void {
    const seconds = agesMs.map((age) => Math.round(-age / 100) / 10)
    this.#plot.setData([seconds, ...columns.map((column) => column.map((value) => value ?? null))], false)
    this.#plot.setScale('x', { min: -SPAN, max: 0 })
    this.#host.dataset['points'] = String(columns[0]?.filter((value) => value !== undefined).length ?? 0)
  }
}
