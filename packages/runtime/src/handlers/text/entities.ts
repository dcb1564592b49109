import type { Entity } from '@tabserve/protocol'
import type { LabelMap } from '../labels.ts'

export type Aggregation = 'none' | 'simple' | 'first' | 'average' | 'max'

export interface ScoredToken {
  readonly id: number
  /** Goes on within the word that the token before it began. */
  readonly isContinuation: boolean
  /** Probability of each label. */
  readonly scores: Float32Array
}

interface Labelled {
  readonly ids: readonly number[]
  readonly name: string
  readonly score: number
}

/** Labels of tokens put together to entities, as Hugging Face's pipelines do: by token, or by word first. What is `O` is left out. */
export function entitiesOf(
  tokens: readonly ScoredToken[],
  labels: LabelMap,
  aggregation: Aggregation,
  decode: (ids: readonly number[]) => string,
  text: string,
): Entity[] {
  const words =
    aggregation === 'none' || aggregation === 'simple' ? tokens.map((token) => [token]) : wordsOf(tokens)
  const labelled = words.map((word) => labelOf(word, aggregation, labels))
  const runs = aggregation === 'none' ? labelled.map((each) => [each]) : runsOf(labelled)
  const find = searcher(text)
  return runs.flatMap((run): Entity[] => {
    const ids = run.flatMap((each) => each.ids)
    const word = decode(ids).trim()
    const place = find(word)
    const name = run[0]?.name ?? 'O'
    if (name === 'O') return []
    const score = run.reduce((sum, each) => sum + each.score, 0) / run.length
    return [{ label: aggregation === 'none' ? name : tagOf(name), score, word, ...place }]
  })
}

function wordsOf(tokens: readonly ScoredToken[]): ScoredToken[][] {
  const words: ScoredToken[][] = []
  for (const token of tokens) {
    const last = words.at(-1)
    if (token.isContinuation && last !== undefined) last.push(token)
    else words.push([token])
  }
  return words
}

function labelOf(word: readonly ScoredToken[], aggregation: Aggregation, labels: LabelMap): Labelled {
  const scores = wordScores(word, aggregation)
  const best = scores.reduce((most, score, index) => (score > (scores[most] ?? 0) ? index : most), 0)
  return { ids: word.map(({ id }) => id), name: labels.name(best), score: scores[best] ?? 0 }
}

/** Of a word's tokens the first one's, the surest one's, or the mean of all. */
function wordScores(word: readonly ScoredToken[], aggregation: Aggregation): Float32Array {
  const first = word[0]?.scores ?? new Float32Array()
  if (aggregation === 'max')
    return word.reduce((best, { scores }) => (Math.max(...scores) > Math.max(...best) ? scores : best), first)
  if (aggregation !== 'average') return first
  return first.map(
    (_, index) => word.reduce((sum, { scores }) => sum + (scores[index] ?? 0), 0) / word.length,
  )
}

/** Neighbours of one tag, up to one that begins anew (`B-`). */
function runsOf(labelled: readonly Labelled[]): Labelled[][] {
  const runs: Labelled[][] = []
  for (const each of labelled) {
    const last = runs.at(-1)
    const before = last?.at(-1)
    if (before !== undefined && tagOf(before.name) === tagOf(each.name) && !each.name.startsWith('B-'))
      last?.push(each)
    else runs.push([each])
  }
  return runs
}

function tagOf(name: string): string {
  return name.replace(/^[BI]-/, '')
}

/** Finds words in a text, each behind the one before. */
function searcher(text: string): (word: string) => { readonly start?: number; readonly end?: number } {
  let from = 0
  const lower = text.toLowerCase()
  return (word) => {
    const exact = text.indexOf(word, from)
    const start = exact >= 0 ? exact : lower.indexOf(word.toLowerCase(), from)
    if (start < 0 || word === '') return {}
    from = start + word.length
    return { start, end: from }
  }
}
