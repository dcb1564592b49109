import type { SamplingFields, ServingExtras } from './sampling-fields.ts'
import type { CompletionUsage } from './usage.ts'

/** The part of OpenAI's request that a model in a tab can fulfil; the rest is refused with `unsupported_parameter`. */
export interface CompletionParams extends SamplingFields, ServingExtras {
  model: string
  /** A text, a list of texts, token ids, or a list of those. */
  prompt: string | string[] | number[] | number[][]
  /** Default 16, as OpenAI's. */
  max_tokens?: number | null
  /** Log-probabilities of the tokens, and of this many likeliest. */
  logprobs?: number | null
  /** The prompt in front of the answer. */
  echo?: boolean | null
  user?: string
}

export interface CompletionLogprobs {
  tokens: string[]
  token_logprobs: number[]
  top_logprobs: Record<string, number>[]
  /** Where in the choice's text each token begins. */
  text_offset: number[]
}

export interface CompletionChoice<Reason = 'stop' | 'length'> {
  index: number
  text: string
  finish_reason: Reason
  logprobs: CompletionLogprobs | null
}

/** An answer, as OpenAI's API writes it. */
export interface Completion {
  id: string
  object: 'text_completion'
  created: number
  model: string
  choices: CompletionChoice[]
  usage: CompletionUsage
}

/** A piece of an answer. */
export interface CompletionChunk {
  id: string
  object: 'text_completion'
  created: number
  model: string
  choices: CompletionChoice<'stop' | 'length' | null>[]
  /** With `include_usage`: `null` until the last chunk. */
  usage?: CompletionUsage | null
}
