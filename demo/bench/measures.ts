/** One thing that is measured of every engine: a row of the table. */
export interface Measure {
  readonly id: MeasureId
  readonly name: string
  readonly unit: string
  /** Which way is better; `neither` for what is reported and not compared. */
  readonly better: 'less' | 'more' | 'neither'
}

export type MeasureId = (typeof IDS)[number]

const IDS = [
  'load-cold',
  'load-warm',
  'first-16',
  'first-128',
  'first-512',
  'second-turn',
  'decode',
  'at-once-1',
  'at-once-4',
  'at-once-8',
  'downloaded',
  'memory',
  'blocked-loading',
  'blocked-answering',
  'agreement',
] as const

const less = (id: MeasureId, name: string, unit: string): Measure => ({ id, name, unit, better: 'less' })
const more = (id: MeasureId, name: string, unit: string): Measure => ({ id, name, unit, better: 'more' })

/** The rows of the table, in order. */
export const MEASURES: readonly Measure[] = [
  less('load-cold', 'Load, first visit', 'ms'),
  less('load-warm', 'Load, later visit', 'ms'),
  less('first-16', 'First token, prompt of 16', 'ms'),
  less('first-128', 'First token, prompt of 128', 'ms'),
  less('first-512', 'First token, prompt of 512', 'ms'),
  less('second-turn', 'First token, 256 read before and 32 new', 'ms'),
  more('decode', 'One answer, after its first token', 'tokens/s'),
  more('at-once-1', '1 request, prompt and answer', 'tokens/s'),
  more('at-once-4', '4 requests at once', 'tokens/s'),
  more('at-once-8', '8 requests at once', 'tokens/s'),
  less('downloaded', 'Downloaded, first visit', 'MB'),
  less('memory', 'Memory, ready and used', 'MB'),
  less('blocked-loading', 'Page blocked at most, loading', 'ms'),
  less('blocked-answering', 'Page blocked at most, answering', 'ms'),
  { id: 'agreement', name: 'Tokens as ours, of 32 greedy ones', unit: 'tokens', better: 'neither' },
]
