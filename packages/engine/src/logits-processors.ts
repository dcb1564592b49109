import type { Sampling } from './sampling-params.ts'

/** Changes the logits of one row, float32 [vocab], in place before a token is chosen. Must not keep a reference to them. */
export type LogitsProcessor = (logits: Float32Array, history: TokenHistory) => void

/** Which tokens a sequence holds. Sparse: costs what the sequence has, not what the vocabulary has. */
export class TokenHistory {
  readonly #seen: Set<number>
  readonly #outputCounts = new Map<number, number>()

  constructor(prompt: readonly number[]) {
    this.#seen = new Set(prompt)
  }

  /** Books a generated token. */
  append(token: number): void {
    this.#seen.add(token)
    this.#outputCounts.set(token, (this.#outputCounts.get(token) ?? 0) + 1)
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
  'logitBias' | 'repetitionPenalty' | 'presencePenalty' | 'frequencyPenalty'
>

/**
 * The processors that these options need, in vLLM's order (vllm/v1/sample/sampler.py): bias, then penalties. So a bias
 * is scaled by the repetition penalty like any other part of the logit.
 */
export function createLogitsProcessors(sampling: LogitsSampling): readonly LogitsProcessor[] {
  const { logitBias, repetitionPenalty, presencePenalty, frequencyPenalty } = sampling
  const processors: LogitsProcessor[] = []
  if (logitBias.size > 0) processors.push(biasLogits(logitBias))
  if (repetitionPenalty !== 1) processors.push(penalizeRepetition(repetitionPenalty))
  if (presencePenalty !== 0 || frequencyPenalty !== 0) {
    processors.push(penalizeOutput(presencePenalty, frequencyPenalty))
  }
  return processors
}

/** At this bias and below a token is forbidden, not just unlikely (the OpenAI API's "should result in a ban"). */
const FORBIDDING_BIAS = -100

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
