import type { Usage } from '@tabserve/protocol'
import type { GenerationResult } from '../../generation.ts'
import type { OutputMessage, ResponseObject, ResponseUsage } from './response-shapes.ts'

/** A response that has ended. */
export function responseOf(
  begin: ResponseObject,
  messageId: string,
  result: GenerationResult,
): ResponseObject {
  const isWhole = result.finishReason === 'stop'
  const status = isWhole ? 'completed' : 'incomplete'
  return {
    ...begin,
    status,
    incomplete_details: isWhole ? null : { reason: 'max_output_tokens' },
    output: [messageOf(messageId, status, result.text)],
    output_text: result.text,
    usage: usageOf(result.usage),
  }
}

export function messageOf(id: string, status: OutputMessage['status'], text?: string): OutputMessage {
  const content = text === undefined ? [] : [partOf(text)]
  return { id, type: 'message', role: 'assistant', status, content }
}

export function partOf(text: string): OutputMessage['content'][number] {
  return { type: 'output_text', text, annotations: [] }
}

function usageOf({ promptTokens, cachedTokens, completionTokens }: Usage): ResponseUsage {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  }
}
