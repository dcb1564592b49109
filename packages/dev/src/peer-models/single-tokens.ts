import { SPACE } from '../../../convert/src/tokenizer/pieces.ts'
import type { Vocabulary } from '../../../convert/src/tokenizer/pieces.ts'

/** Words that SentencePiece's merging takes together whole, whatever stands around them: texts of them have a known number of tokens. Without their space. */
export function singleTokens({ pieces }: Vocabulary): string[] {
  const scores = new Map(pieces.filter(({ kind }) => kind === 'text').map(({ text, score }) => [text, score]))
  return [...scores.keys()]
    .filter((text) => text.startsWith(SPACE) && text.length > 1 && mergedWhole(text, scores))
    .map((text) => text.slice(SPACE.length))
}

/** Neighbours whose joined text has the highest score are joined first, until none are left. */
function mergedWhole(text: string, scores: ReadonlyMap<string, number>): boolean {
  const parts = [...text]
  while (parts.length > 1) {
    let best = -1
    let bestScore = -Infinity
    for (let at = 0; at + 1 < parts.length; at++) {
      const score = scores.get(`${parts[at]}${parts[at + 1]}`) ?? -Infinity
      if (score > bestScore) [best, bestScore] = [at, score]
    }
    if (best === -1) return false
    parts.splice(best, 2, `${parts[best]}${parts[best + 1]}`)
  }
  return true
}
