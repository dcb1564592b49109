import { MEASURES } from './measures.ts'
import type { Measure, MeasureId } from './measures.ts'
import type { PeerId } from './peers/index.ts'
import { OURS, PEERS, PEER_IDS } from './peers/index.ts'

/** A whole run, as it is saved. */
export interface Report {
  readonly format: 'tabserve-peers'
  readonly formatVersion: 1
  readonly date: string
  readonly browser: string
  readonly cores: number
  readonly threads: number
  readonly isIsolated: boolean
  readonly rounds: number
  readonly model: string
  readonly parameters: number
  /** Every sample of every round. */
  readonly peers: Readonly<Partial<Record<PeerId, Samples>>>
}

export type Samples = Readonly<Partial<Record<MeasureId, readonly number[]>>>

/** One row of the table: what each engine came to, and how it compares. */
export interface Row {
  readonly measure: Measure
  readonly cells: readonly Cell[]
}

export interface Cell {
  readonly peer: PeerId
  /** Median of all samples; `undefined` where there are none. */
  readonly value: number | undefined
  /** How many times as good what it is compared with is: of another engine, ours; above 1 means that ours is better. */
  readonly ratio: number | undefined
}

/** The engines of a report, ours first. */
export function peersOf({ peers }: Report): readonly PeerId[] {
  return PEER_IDS.filter((id) => peers[id] !== undefined)
}

export function nameOf(id: PeerId): string {
  return PEERS[id].name
}

/** Rows that at least one engine has a figure for. */
export function rowsOf(report: Report): Row[] {
  return rows(report, (measure, id, value) =>
    id === OURS ? undefined : ratioOf(measure, median(report.peers[OURS]?.[measure.id]), value),
  )
}

/** The same with ratios to another run: above 1 means that this run is better. */
export function rowsAgainst(report: Report, earlier: Report): Row[] {
  return rows(report, (measure, id, value) =>
    ratioOf(measure, value, median(earlier.peers[id]?.[measure.id])),
  )
}

/** Reads what was saved. Throws when it is something else. */
export function readReport(text: string): Report {
  const found = parsed(text)
  const isReport =
    typeof found === 'object' &&
    found !== null &&
    'format' in found &&
    found.format === 'tabserve-peers' &&
    'formatVersion' in found &&
    found.formatVersion === 1 &&
    'peers' in found &&
    typeof found.peers === 'object'
  if (!isReport)
    throw new Error('This is no saved run of this benchmark: choose a file that “Save JSON” wrote.')
  return found as Report
}

/** The middle value, or the mean of the two middle ones. */
export function median(values: readonly number[] | undefined): number | undefined {
  const sorted = [...(values ?? [])].sort((a, b) => a - b)
  const middle = sorted.length / 2
  const [low, high] = [sorted[Math.ceil(middle) - 1], sorted[Math.floor(middle)]]
  return low === undefined || high === undefined ? undefined : (low + high) / 2
}

function rows(
  report: Report,
  ratio: (measure: Measure, id: PeerId, value: number | undefined) => number | undefined,
): Row[] {
  return MEASURES.map((measure) => ({
    measure,
    cells: peersOf(report).map((peer) => {
      const value = median(report.peers[peer]?.[measure.id])
      return { peer, value, ratio: ratio(measure, peer, value) }
    }),
  })).filter(({ cells }) => cells.some(({ value }) => value !== undefined))
}

/** How many times as good `value` is as `other`. */
function ratioOf(
  { better }: Measure,
  value: number | undefined,
  other: number | undefined,
): number | undefined {
  if (value === undefined || other === undefined || better === 'neither') return undefined
  return better === 'less' ? other / value : value / other
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined // said in the sentence for everything that is no report
  }
}
