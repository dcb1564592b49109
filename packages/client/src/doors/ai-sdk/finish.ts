import type { LanguageModelV4FinishReason, LanguageModelV4Usage } from '@ai-sdk/provider'
import type { ChoiceEnd, Usage } from '@tabserve/protocol'

export function finishOf(reason: ChoiceEnd['reason']): LanguageModelV4FinishReason {
  if (reason === 'tool_calls') return { unified: 'tool-calls', raw: reason }
  return { unified: reason === 'stop' || reason === 'length' ? reason : 'other', raw: reason }
}

export function usageOf({ promptTokens, cachedTokens, completionTokens }: Usage): LanguageModelV4Usage {
  return {
    inputTokens: {
      total: promptTokens,
      noCache: promptTokens - cachedTokens,
      cacheRead: cachedTokens,
      cacheWrite: undefined,
    },
    outputTokens: { total: completionTokens, text: completionTokens, reasoning: undefined },
  }
}
