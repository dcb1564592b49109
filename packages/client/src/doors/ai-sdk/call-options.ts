import type { LanguageModelV4CallOptions, SharedV4Warning } from '@ai-sdk/provider'
import type { StructuredOutputs } from '@tabserve/protocol'
import type { GenerateOptions } from '../../client-options.ts'
import { messagesOf } from './prompt.ts'
import { toolsOf } from './tools.ts'

export interface ReadCall {
  readonly request: Omit<GenerateOptions, 'model' | 'signal'>
  readonly warnings: SharedV4Warning[]
}

/** A call in our words. `providerOptions.tabserve` takes any of our options. Throws `unsupported_parameter` for files and for tools that a provider executes. */
export function readCall(options: LanguageModelV4CallOptions): ReadCall {
  const { responseFormat, reasoning, providerOptions } = options
  const asksToReason = reasoning !== undefined && reasoning !== 'provider-default' && reasoning !== 'none'
  return {
    request: {
      ...samplingOf(options),
      ...structureOf(responseFormat),
      ...toolsOf(options),
      separateReasoning: true,
      messages: options.prompt.flatMap(messagesOf),
      ...providerOptions?.['tabserve'],
    },
    warnings: asksToReason ? [{ type: 'unsupported', feature: 'reasoning' }] : [],
  }
}

function samplingOf(options: LanguageModelV4CallOptions): Omit<GenerateOptions, 'model' | 'signal'> {
  const { maxOutputTokens, stopSequences, temperature, topP, topK, seed } = options
  const { presencePenalty, frequencyPenalty } = options
  const given = {
    maxTokens: maxOutputTokens,
    stop: stopSequences,
    temperature,
    topP,
    topK,
    presencePenalty,
    frequencyPenalty,
    seed,
  }
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined))
}

function structureOf(format: LanguageModelV4CallOptions['responseFormat']): {
  readonly structuredOutputs?: StructuredOutputs
} {
  if (format?.type !== 'json') return {}
  return { structuredOutputs: format.schema === undefined ? { jsonObject: true } : { json: format.schema } }
}
