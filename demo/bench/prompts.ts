import type { Prompt } from './peers/peer.ts'

/** What `model.json` beside the models says. */
export interface ModelFacts {
  readonly name: string
  readonly parameters: number
  /** Words that are one token each, behind a space or at the beginning. */
  readonly words: readonly string[]
}

/** Prompts of random words that have no beginning in common. The same seed gives the same prompts, so every engine reads the same ones. */
export class Prompts {
  readonly #words: readonly string[]
  #state: number

  constructor({ words }: ModelFacts, seed: number) {
    this.#words = words
    this.#state = seed
  }

  /** @param numTokens one of them begins every text. */
  next(numTokens: number): Prompt {
    return { text: Array.from({ length: numTokens - 1 }, () => this.#word()).join(' '), numTokens }
  }

  several(count: number, numTokens: number): Prompt[] {
    return Array.from({ length: count }, () => this.next(numTokens))
  }

  /** A prompt that goes on with `numTokens` more. */
  more({ text, numTokens: before }: Prompt, numTokens: number): Prompt {
    return { text: `${text} ${this.next(numTokens + 1).text}`, numTokens: before + numTokens }
  }

  #word(): string {
    this.#state = (Math.imul(this.#state, 1664525) + 1013904223) >>> 0 // Numerical Recipes
    return this.#words[Math.floor((this.#state / 2 ** 32) * this.#words.length)] ?? ''
  }
}
