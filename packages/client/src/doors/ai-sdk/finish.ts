import type { LanguageModelV4FinishReason, LanguageModelV4Usage } from '@ai-sdk/provider'
import type { FinishReason, Usage } from '@tabserve/protocol'

export function finishOf(reason: FinishReason): LanguageModelV4FinishReason {
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
