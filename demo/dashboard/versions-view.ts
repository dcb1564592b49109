import type { VersionReport } from 'tabserve'
import { make } from '../chat/element.ts'
import { brief } from './brief.ts'

/** The versions that were asked, side by side. @param weights percent of the traffic that each gets now. */
export function showVersions(
  body: HTMLElement,
  reports: readonly VersionReport[],
  weights: Readonly<Record<string, number>>,
): void {
  const live = reports.filter(
    ({ traffic, requests, inFlight }) => traffic === 'live' && requests + inFlight > 0,
  )
  const time = (ms: number | undefined) => (ms === undefined ? '–' : brief(ms))
  body.replaceChildren(
    ...live.map(({ model, requests, errors, inFlight, ttftMs, interTokenMs }) => {
      const cells = [
        model,
        `${weights[model] ?? 0} %`,
        String(inFlight),
        String(requests),
        String(errors),
        `${time(ttftMs.p50)} / ${time(ttftMs.p95)}`,
        `${time(interTokenMs.p50)} / ${time(interTokenMs.p95)}`,
      ]
      const row = make('tr')
      row.append(...cells.map((text, index) => make(index === 0 ? 'th' : 'td', { text })))
      return row
    }),
  )
}
