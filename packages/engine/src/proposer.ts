import { runningMean } from './running-mean.ts'

/** Longest draft: one pass checks it together with the token that is due. */
const MAX_DRAFT = 6
const LONGEST_NGRAM = 4
const SHORTEST_NGRAM = 2
/** Steps without a draft after drafts have not paid; doubled each time, up to the second. */
const FIRST_PAUSE = 16
const LONGEST_PAUSE = 512

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

/** Whether drafts pay: tokens a millisecond with them against without, by the costs measured so far. One a model. */
export class DraftJudge {
  #decodeMs: number | undefined
  #verifyMs: number | undefined
  /** Begins high: the first drafts are an investment. */
  #tokensPerVerify = 3
  #pause = FIRST_PAUSE
  #wait = 0

  /** Asked once a step of a lone answer. */
  isWorthwhile(): boolean {
    if (this.#wait === 0) return this.#decodeMs !== undefined
    this.#wait--
    return false
  }

  decoded(ms: number): void {
    this.#decodeMs = runningMean(this.#decodeMs, ms)
  }

  verified(numAccepted: number, ms: number): void {
    this.#verifyMs = runningMean(this.#verifyMs, ms)
    this.#tokensPerVerify = runningMean(this.#tokensPerVerify, 1 + numAccepted)
    const gain = (this.#tokensPerVerify * (this.#decodeMs ?? 0)) / this.#verifyMs
    if (gain >= 1) return void (this.#pause = FIRST_PAUSE)
    this.#wait = this.#pause
    this.#pause = Math.min(LONGEST_PAUSE, 2 * this.#pause)
    // The next try is judged by itself.
    this.#tokensPerVerify = this.#verifyMs / (this.#decodeMs ?? 1)
  }
}
