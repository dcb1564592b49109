/** How fast an answer comes, on the page's own clock: what the reader feels, with every hop included. */
export class Speed {
  readonly #sentAt = performance.now()
  #firstAt: number | undefined
  #lastAt = 0
  #numFirst = 0
  #numTokens = 0

  /** Counts tokens that have just arrived. */
  add(numTokens: number): void {
    if (numTokens === 0) return
    this.#lastAt = performance.now()
    if (this.#firstAt === undefined) {
      this.#firstAt = this.#lastAt
      this.#numFirst = numTokens
    }
    this.#numTokens += numTokens
  }

  get numTokens(): number {
    return this.#numTokens
  }

  get firstTokenMs(): number | undefined {
    return this.#firstAt === undefined ? undefined : this.#firstAt - this.#sentAt
  }

  /** Decode speed: the first delivery is left out, because its time is that of the prompt. */
  get tokensPerSecond(): number | undefined {
    const numLater = this.#numTokens - this.#numFirst
    if (this.#firstAt === undefined || numLater === 0) return undefined
    return (1000 * numLater) / Math.max(1, this.#lastAt - this.#firstAt)
  }
}
