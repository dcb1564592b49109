import type { Sequence } from './sequence.ts'

/** Longest draft: one pass checks it together with the token that is due. */
const MAX_DRAFT = 6
const LONGEST_NGRAM = 4
const SHORTEST_NGRAM = 2
/**
 * Guesses what comes next: what followed the last few tokens when they stood in the text before (prompt lookup,
 * github.com/apoorvumang/prompt-lookup-decoding; vLLM's `ngram`). At most `limit` tokens, none where nothing matches.
 */
export function proposeNgram(tokens: readonly number[], limit: number): readonly number[] {
  const most = Math.min(MAX_DRAFT, limit)
  if (most <= 0) return []
  const end = tokens.length
  let bestLength = SHORTEST_NGRAM - 1
  let bestEnd = -1
  // From the latest place on: what was said last is most likely said again.
  for (let at = end - 1; at > bestLength && bestLength < LONGEST_NGRAM; at--) {
    let length = 0
    while (length < LONGEST_NGRAM && length < at && tokens[at - 1 - length] === tokens[end - 1 - length])
      length++
    if (length <= bestLength) continue
    bestLength = length
    bestEnd = at
  }
  return bestEnd < 0 ? [] : tokens.slice(bestEnd, bestEnd + most)
}

/** Tokens that a sequence may still say behind the one that the pass itself gives. */
export function draftLimit(sequence: Sequence, maxContext: number): number {
  const { tokens, numOutput, maxOutput, constraint } = sequence
  if (constraint !== undefined) return 0 // which is asked token by token
  return Math.min(maxOutput - numOutput, maxContext - tokens.length) - 1
}
