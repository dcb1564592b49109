import type { Sampling } from './sampling-params.ts'

/** Changes logits in place before a token is drawn. */
export type LogitsProcessor = (logits: Float32Array, history: TokenHistory) => void

/** Which tokens a sequence has seen, counted: penalties cost what the text holds, not what the vocabulary does. */
export class TokenHistory {
  readonly #prompt: ReadonlySet<number>
  readonly #output = new Map<number, number>()

  constructor(prompt: readonly number[]) {
    this.#prompt = new Set(prompt)
  }

  append(token: number): void {
    this.#output.set(token, (this.#output.get(token) ?? 0) + 1)
  }

  get prompt(): ReadonlySet<number> {
    return this.#prompt
  }

  /** How often each token was generated. */
  get output(): ReadonlyMap<number, number> {
    return this.#output
  }
}

/** A bias of this or less forbids a token, as OpenAI documents it. */
const FORBIDDEN = -100

/** The processors that a request asks for, in vLLM's order; those that would do nothing are left out. */
export function createLogitsProcessors(sampling: Sampling): readonly LogitsProcessor[] {
  const { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias } = sampling
  const processors: LogitsProcessor[] = []
  if (logitBias.length > 0) processors.push(biasLogits(logitBias))
  if (repetitionPenalty !== 1) processors.push(penalizeRepetition(repetitionPenalty))
  if (presencePenalty !== 0 || frequencyPenalty !== 0)
    processors.push(penalizeOutput(presencePenalty, frequencyPenalty))
  return processors
}

/** Makes every token that prompt or output hold less likely, once (Keskar et al., CTRL, arXiv:1909.05858). */
function penalizeRepetition(penalty: number): LogitsProcessor {
  return (logits, { prompt, output }) => {
    const penalize = (token: number) => {
      const logit = logits[token]!
      logits[token] = logit > 0 ? logit / penalty : logit * penalty
    }
    for (const token of prompt) penalize(token)
    for (const token of output.keys()) if (!prompt.has(token)) penalize(token)
  }
}

function penalizeOutput(presence: number, frequency: number): LogitsProcessor {
  return (logits, { output }) => {
    for (const [token, count] of output) logits[token] = logits[token]! - presence - frequency * count
  }
}

function biasLogits(biases: readonly (readonly [number, number])[]): LogitsProcessor {
  return (logits) => {
    for (const [token, bias] of biases) logits[token] = bias <= FORBIDDEN ? -Infinity : logits[token]! + bias
  }
}
