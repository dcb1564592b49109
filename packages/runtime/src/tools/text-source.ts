/** Reads text that is still coming: it yields where it must know more, and goes on when more has come. */
export type Reading<T> = Generator<undefined, T, undefined>

/**
 * A text of which more may come, read from a place on. Invariant: what is read of it depends on the text alone, never on the pieces that it came in,
 * because every question waits until no continuation could change its answer.
 */
export class TextSource {
  #text = ''
  #isWhole = false
  /** Everything before it is read. */
  at = 0

  add(text: string): void {
    this.#text += text
  }

  /** No more comes. */
  end(): void {
    this.#isWhole = true
  }

  /** The text from a place to where it is read now. */
  since(place: number): string {
    return this.#text.slice(place, this.at)
  }

  /** The next character; '' at the end. Does not move. */
  *peek(): Reading<string> {
    while (this.at >= this.#text.length && !this.#isWhole) yield
    return this.#text.charAt(this.at)
  }

  /** Whether the text goes on with `word`: known as soon as a letter differs. Does not move. */
  *sees(word: string): Reading<boolean> {
    for (;;) {
      const next = this.#text.slice(this.at, this.at + word.length)
      if (!word.startsWith(next)) return false
      if (next.length === word.length) return true
      if (this.#isWhole) return false
      yield
    }
  }

  /** Moves behind `word` if the text goes on with it. */
  *skips(word: string): Reading<boolean> {
    const sees = yield* this.sees(word)
    if (sees) this.at += word.length
    return sees
  }

  /** Moves behind white space, and returns it. */
  *space(): Reading<string> {
    return yield* this.run(/\s/)
  }

  /** Moves behind all characters of a kind, and returns them. */
  *run(kind: RegExp): Reading<string> {
    const start = this.at
    for (let next = yield* this.peek(); next !== '' && kind.test(next); next = yield* this.peek()) this.at++
    return this.since(start)
  }

  /** Moves to the first of these words, and returns what stood before it; `undefined`, and it has not moved, where none comes. */
  *until(words: readonly string[]): Reading<string | undefined> {
    const start = this.at
    for (;;) {
      for (const word of words) if (yield* this.sees(word)) return this.since(start)
      if ((yield* this.peek()) === '') {
        this.at = start
        return undefined
      }
      this.at++
    }
  }
}
