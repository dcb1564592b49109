import type { ChoiceEnd, Usage } from '@tabserve/protocol'

/** Counts of tokens. */
export interface CompletionUsage {
  prompt_tokens: number
  completion_tokens: number
  total_tokens: number
  prompt_tokens_details: { cached_tokens: number }
}

export function completionUsage(usages: readonly Usage[]): CompletionUsage {
  const sum = (count: (usage: Usage) => number) => usages.reduce((total, usage) => total + count(usage), 0)
  const prompt = sum(({ promptTokens }) => promptTokens)
  const completion = sum(({ completionTokens }) => completionTokens)
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: sum(({ cachedTokens }) => cachedTokens) },
  }
}

export type FinishWord = 'stop' | 'length' | 'tool_calls'

/** OpenAI has no word for a deadline; `length` too says that the text was cut. */
export function finishReason(reason: ChoiceEnd['reason']): FinishWord {
  return reason === 'tool_calls' ? reason : textFinishReason(reason)
}

/** Of a text, in which there are no calls. */
export function textFinishReason(reason: ChoiceEnd['reason']): 'stop' | 'length' {
  return reason === 'stop' || reason === 'tool_calls' ? 'stop' : 'length'
}
