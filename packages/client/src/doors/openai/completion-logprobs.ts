import type { TokenLogprob } from '@tabserve/protocol'
import type { CompletionLogprobs } from './completion-shapes.ts'
import type { TokenTexts } from './token-texts.ts'

/** One choice's log-probabilities in the older form, piece by piece: each piece begins where the last one ended. */
export class CompletionLogprobWriter {
  readonly #texts: TokenTexts
  #offset: number

  /** @param offset characters of the choice's text in front of the first token. */
  constructor(texts: TokenTexts, offset: number) {
    this.#texts = texts
    this.#offset = offset
  }

  async write(logprobs: readonly TokenLogprob[] | undefined): Promise<CompletionLogprobs | null> {
    if (logprobs === undefined) return null
    const textOf = await this.#texts.read(logprobs)
    return {
      tokens: logprobs.map(({ token }) => textOf(token)),
      token_logprobs: logprobs.map(({ logprob }) => logprob),
      top_logprobs: logprobs.map(({ top }) =>
        Object.fromEntries(top.map(({ token, logprob }) => [textOf(token), logprob])),
      ),
      text_offset: logprobs.map(({ token }) => {
        const offset = this.#offset
        this.#offset += textOf(token).length
        return offset
      }),
    }
  }
}
