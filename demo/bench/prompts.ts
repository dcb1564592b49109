import type { TokenIds } from './peers/peer.ts'

/** What `model.json` beside the models says. */
export interface ModelFacts {
  readonly name: string
  readonly parameters: number
  /** First token id that is a word, and one more than the last. */
  readonly firstWord: number
  readonly vocabSize: number
}

/** Prompts of random words that have no beginning in common. The same seed gives the same prompts, so every engine reads the same ones. */
export class Prompts {
  readonly #model: ModelFacts
  #state: number

  constructor(model: ModelFacts, seed: number) {
    this.#model = model
    this.#state = seed
  }

  next(length: number): TokenIds {
    return Array.from({ length }, () => this.#word())
  }

  several(count: number, length: number): TokenIds[] {
    return Array.from({ length: count }, () => this.next(length))
  }

  #word(): number {
    const { firstWord, vocabSize } = this.#model
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0 // Numerical Recipes
    return firstWord + Math.floor((this.#state / 2 ** 32) * (vocabSize - firstWord))
  }
}
