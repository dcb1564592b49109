import type { Usage } from '@tabserve/protocol'
import type { OutputMessage, ResponseUsage } from './response-shapes.ts'

export function messageOf(id: string, status: OutputMessage['status'], text?: string): OutputMessage {
  const content = text === undefined ? [] : [partOf(text)]
  return { id, type: 'message', role: 'assistant', status, content }
}

export function partOf(text: string): OutputMessage['content'][number] {
  return { type: 'output_text', text, annotations: [] }
}

export function usageOf({ promptTokens, cachedTokens, completionTokens }: Usage): ResponseUsage {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  }
}
