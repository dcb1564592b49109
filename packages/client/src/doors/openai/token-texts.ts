import type { TokenLogprob } from '@tabserve/protocol'
import type { ServedClient } from '../served-client.ts'

/** Texts of tokens, which only the worker knows; each is asked for once. */
export class TokenTexts {
  readonly #known = new Map<number, string>()
  readonly #client: Pick<ServedClient, 'tokenTexts'>
  readonly #model: string

  constructor(client: Pick<ServedClient, 'tokenTexts'>, model: string) {
    this.#client = client
    this.#model = model
  }

  /** How to read every token that these name. */
  async read(logprobs: readonly TokenLogprob[]): Promise<(token: number) => string> {
    const named = logprobs.flatMap(({ token, top }) => [token, ...top.map(({ token }) => token)])
    await this.#learn(named)
    return (token) => this.#known.get(token) ?? ''
  }

  /** The text of one token after the other. */
  async join(tokens: readonly number[]): Promise<string> {
    await this.#learn(tokens)
    return tokens.map((token) => this.#known.get(token) ?? '').join('')
  }

  async #learn(tokens: readonly number[]): Promise<void> {
    const missing = [...new Set(tokens)].filter((token) => !this.#known.has(token))
    if (missing.length === 0) return
    const texts = await this.#client.tokenTexts(this.#model, missing)
    missing.forEach((token, index) => this.#known.set(token, texts[index] ?? ''))
  }
}
