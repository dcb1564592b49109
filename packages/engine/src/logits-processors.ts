import type { Constraint } from './constraint.ts'
import type { Sampling } from './sampling-params.ts'

/** Changes the logits of one row, float32 [vocab], in place before a token is chosen. Must not keep a reference to them. */
export type LogitsProcessor = (logits: Float32Array, history: TokenHistory) => void

/** Which tokens a sequence holds. Sparse: costs what the sequence has, not what the vocabulary has. */
export class TokenHistory {
  readonly #seen: Set<number>
  readonly #outputCounts = new Map<number, number>()
  #numOutput = 0

  constructor(prompt: readonly number[]) {
    this.#seen = new Set(prompt)
  }

  /** Books a generated token. */
  append(token: number): void {
    this.#numOutput++
    this.#seen.add(token)
    this.#outputCounts.set(token, (this.#outputCounts.get(token) ?? 0) + 1)
  }

  /** Generated tokens. */
  get numOutput(): number {
    return this.#numOutput
  }

  /** Different tokens of prompt and output. */
  get seen(): ReadonlySet<number> {
    return this.#seen
  }

  /** How often each token was generated; the prompt does not count. */
  get outputCounts(): ReadonlyMap<number, number> {
    return this.#outputCounts
  }
}

/** The options that `createLogitsProcessors` reads. */
export type LogitsSampling = Pick<
  Sampling,
  'allowedTokenIds' | 'minTokens' | 'logitBias' | 'repetitionPenalty' | 'presencePenalty' | 'frequencyPenalty'
>

/**
 * The processors that these options need, in vLLM's order (vllm/v1/sample/sampler.py): what may be drawn at all, bias, then
 * penalties. So a bias is scaled by the repetition penalty like any other part of the logit.
 *
 * @param stopTokens tokens that end the text, which `minTokens` holds back.
 */
export function createLogitsProcessors(
  sampling: LogitsSampling,
  stopTokens: ReadonlySet<number>,
): readonly LogitsProcessor[] {
  const { allowedTokenIds, minTokens, logitBias, repetitionPenalty, presencePenalty, frequencyPenalty } =
    sampling
  const processors: LogitsProcessor[] = []
  if (allowedTokenIds !== undefined) processors.push(allowOnly(new Set(allowedTokenIds)))
  if (minTokens > 0 && stopTokens.size > 0) processors.push(holdBack(stopTokens, minTokens))
  if (logitBias.size > 0) processors.push(biasLogits(logitBias))
  if (repetitionPenalty !== 1) processors.push(penalizeRepetition(repetitionPenalty))
  if (presencePenalty !== 0 || frequencyPenalty !== 0) {
    processors.push(penalizeOutput(presencePenalty, frequencyPenalty))
  }
  return processors
}

/** Forbids what a grammar does not allow next. */
export function maskLogits(constraint: Constraint): LogitsProcessor {
  return (logits) => {
    const { mask } = constraint
    if (mask === undefined) throw new Error('a token was drawn before it was known what it may be')
    for (let token = 0; token < logits.length; token++) {
      const word = mask[token >>> 5] ?? 0
      if (word === -1)
        token |= 31 // all of the word's tokens may come
      else if (((word >>> (token & 31)) & 1) === 0) logits[token] = -Infinity
    }
  }
}

/** At this bias and below a token is forbidden, not just unlikely (the OpenAI API's "should result in a ban"). */
const FORBIDDING_BIAS = -100

function allowOnly(allowed: ReadonlySet<number>): LogitsProcessor {
  return (logits) => {
    for (let token = 0; token < logits.length; token++) if (!allowed.has(token)) logits[token] = -Infinity
  }
}

function holdBack(tokens: ReadonlySet<number>, minTokens: number): LogitsProcessor {
  return (logits, { numOutput }) => {
    if (numOutput < minTokens) for (const token of tokens) logits[token] = -Infinity
  }
}

function biasLogits(bias: ReadonlyMap<number, number>): LogitsProcessor {
  return (logits) => {
    for (const [token, value] of bias) {
      logits[token] = value <= FORBIDDING_BIAS ? -Infinity : logits[token]! + value
    }
  }
}

/** CTRL's penalty (arXiv:1909.05858, section 4.1), with the usual repair: multiplying makes a negative logit smaller. */
function penalizeRepetition(penalty: number): LogitsProcessor {
  return (logits, { seen }) => {
    for (const token of seen) {
      const logit = logits[token]!
      logits[token] = logit > 0 ? logit / penalty : logit * penalty
    }
  }
}

/** OpenAI's penalties, on generated tokens only, as in vLLM. */
function penalizeOutput(presence: number, frequency: number): LogitsProcessor {
  return (logits, { outputCounts }) => {
    for (const [token, count] of outputCounts) logits[token]! -= presence + frequency * count
  }
}
