import type { TokenLogprob } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { Candidates } from './candidates.ts'
import type { Constraint } from './constraint.ts'
import type { LogitsProcessor, TokenHistory } from './logits-processors.ts'
import { createLogitsProcessors, maskLogits } from './logits-processors.ts'
import { argmax, describe } from './logprobs.ts'
import type { Random } from './random.ts'
import type { Sampling } from './sampling-params.ts'

/** The cause of an error for want of logits: that is the model's fault, which is counted. */
export const UNUSABLE_LOGITS = 'unusable logits'

/** Above this, finding the largest costs a runner more than handing all of them over. */
const MOST_TOP = 64

export interface SampledToken {
  readonly token: number
  readonly logprob?: TokenLogprob
}

/**
 * Draws the next token of one request: processors, then temperature, min-p, top-k and top-p in vLLM's order, then one draw
 * from the request's own random stream. Exact, and linear in the vocabulary: nothing is sorted but what is kept.
 */
export class Sampler {
  readonly #sampling: Sampling
  readonly #random: Random
  readonly #processors: readonly LogitsProcessor[]
  readonly #constraint: Constraint | undefined
  readonly #candidates = new Candidates()
  /** The model's own logits, kept while processors change them. */
  #model = new Float32Array(0)

  /** @param stopTokens tokens that end the text. */
  constructor(
    sampling: Sampling,
    random: Random,
    stopTokens: ReadonlySet<number> = new Set(),
    constraint?: Constraint,
  ) {
    this.#sampling = sampling
    this.#random = random
    this.#constraint = constraint
    this.#processors = [
      ...(constraint === undefined ? [] : [maskLogits(constraint)]),
      ...createLogitsProcessors(sampling, stopTokens),
    ]
  }

  /** How many of the largest logits are enough for the same draw; 0: all are needed. */
  get top(): number {
    const { temperature, topK, logprobs } = this.#sampling
    if (logprobs !== undefined || this.#processors.length > 0) return 0
    if (temperature === 0) return 1
    return topK <= MOST_TOP ? topK : 0
  }

  /**
   * @param logits float32 [vocabSize], changed in place.
   * @param tokens int32, ascending: whose logits they are, where they are the `top` largest only.
   * Throws `backend_failed` when no token has a finite logit: the forward pass went wrong; `bad_request` when grammar and options leave none.
   */
  sample(logits: Float32Array, history: TokenHistory, tokens?: Int32Array): SampledToken {
    const { logprobs } = this.#sampling
    // Log-probabilities are the model's own, from before anything changes the logits.
    if (logprobs !== undefined) this.#remember(logits)
    for (const process of this.#processors) process(logits, history)
    const token = this.#draw(logits, tokens)
    return logprobs === undefined ? { token } : { token, logprob: describe(this.#model, token, logprobs) }
  }

  /** Puts the random stream behind a token that is already known. */
  skip(): void {
    if (this.#sampling.temperature !== 0) this.#random.next()
  }

  #remember(logits: Float32Array): void {
    if (this.#model.length !== logits.length) this.#model = new Float32Array(logits.length)
    this.#model.set(logits)
  }

  #draw(logits: Float32Array, tokens: Int32Array | undefined): number {
    const { temperature, topK, topP, minP } = this.#sampling
    const best = argmax(logits)
    const max = logits[best] ?? NaN
    if (max === -Infinity && this.#constraint !== undefined)
      throw new EngineError(
        'bad_request',
        'No token is left to draw: what structuredOutputs allows next, other options of the request forbid.',
      )
    if (!Number.isFinite(max))
      throw new EngineError('backend_failed', 'The model gave no usable logits: all are NaN or infinite.', {
        cause: UNUSABLE_LOGITS,
      })
    if (temperature === 0) return tokens?.[best] ?? best
    const candidates = this.#candidates
    candidates.fill(logits, max, temperature, minP, tokens)
    if (topK > 0) candidates.keepTop(topK)
    candidates.weigh()
    if (topP < 1) candidates.keepNucleus(topP)
    return candidates.pick(this.#random.next())
  }
}
