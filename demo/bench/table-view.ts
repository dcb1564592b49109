import { make } from '../chat/element.ts'
import { factor, figure } from './markdown.ts'
import type { Cell, Report, Row } from './report.ts'
import { nameOf, peersOf } from './report.ts'

/** The table of a report: a row a measure, a column an engine. */
export function tableOf(report: Report, rows: readonly Row[]): HTMLTableElement {
  const table = make('table', { testId: 'table' })
  const head = table.createTHead().insertRow()
  head.append(make('td'), ...peersOf(report).map((id) => heading(nameOf(id), 'col')))
  const body = table.createTBody()
  for (const { measure, cells } of rows) {
    const row = body.insertRow()
    row.dataset['measure'] = measure.id
    const name = heading(measure.name, 'row')
    name.append(' ', make('span', { text: measure.unit, className: 'unit' }))
    row.append(name, ...cells.map(cellOf))
  }
  return table
}

function heading(text: string, scope: 'col' | 'row'): HTMLTableCellElement {
  const cell = make('th', { text })
  cell.scope = scope
  return cell
}

function cellOf({ value, ratio }: Cell): HTMLTableCellElement {
  const cell = make('td', { text: value === undefined ? '–' : figure(value) })
  if (ratio !== undefined) {
    const better = make('span', { text: factor(ratio), className: 'ratio' })
    better.dataset['better'] = String(ratio >= 1)
    cell.append(' ', better)
  }
  return cell
}
