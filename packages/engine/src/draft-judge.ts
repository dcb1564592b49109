import { runningMean } from './running-mean.ts'

/** Steps without a draft after drafts have not paid; doubled each time, up to the second. */
const FIRST_PAUSE = 16
const LONGEST_PAUSE = 512

/** Whether drafts pay: tokens a millisecond with them against without, by the costs measured so far. One a number of answers that go on together. */
export class DraftJudge {
  #decodeMs: number | undefined
  #verifyMs: number | undefined
  /** Begins high: the first drafts are an investment. */
  #tokensPerVerify = 3
  #pause = FIRST_PAUSE
  #wait = 0

  /** Asked once a step. */
  isWorthwhile(): boolean {
    if (this.#wait === 0) return this.#decodeMs !== undefined
    this.#wait--
    return false
  }

  decoded(ms: number): void {
    this.#decodeMs = runningMean(this.#decodeMs, ms)
  }

  /** @param numAccepted tokens of drafts that were right, an answer. */
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
