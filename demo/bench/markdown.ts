import type { Cell, Report, Row } from './report.ts'
import { nameOf, peersOf } from './report.ts'

/** The table as Markdown, and what it was measured on. */
export function markdownOf(report: Report, rows: readonly Row[]): string {
  const peers = peersOf(report).map(nameOf)
  const lines = [
    ['', ...peers],
    ['---', ...peers.map(() => '---')],
    ...rows.map(({ measure, cells }) => [`${measure.name}, ${measure.unit}`, ...cells.map(cellText)]),
  ]
  return `${lines.map((cells) => `| ${cells.join(' | ')} |`).join('\n')}\n\n${conditions(report)}\n`
}

/** In one sentence. */
export function conditions(report: Report): string {
  const { date, browser, cores, threads, isIsolated, rounds, model, parameters } = report
  const version = /(?:Headless)?(?:Chrome|Firefox|Version)\/[\d.]+/.exec(browser)?.[0] ?? browser
  const millions = (parameters / 1e6).toFixed(1)
  return `${model} (${millions} M parameters), ${threads} ${threads === 1 ? 'thread' : 'threads'} each of ${cores} cores, page ${isIsolated ? '' : 'not '}isolated, medians of ${rounds} interleaved ${rounds === 1 ? 'round' : 'rounds'}, ${version}, ${date.slice(0, 10)}`
}

/** `412 (3.1×)`; a dash where nothing was measured. */
export function cellText({ value, ratio }: Cell): string {
  if (value === undefined) return '–'
  return ratio === undefined ? figure(value) : `${figure(value)} (${factor(ratio)})`
}

export function factor(ratio: number): string {
  return `${ratio < 10 ? ratio.toFixed(2) : ratio.toFixed(0)}×`
}

export function figure(value: number): string {
  return value < 100 ? value.toFixed(1) : value.toFixed(0)
}
