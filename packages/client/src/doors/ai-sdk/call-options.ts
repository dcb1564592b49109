import type { LanguageModelV4CallOptions, LanguageModelV4Message, SharedV4Warning } from '@ai-sdk/provider'
import type { ChatMessage, StructuredOutputs } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { GenerateOptions } from '../../client-options.ts'

export interface ReadCall {
  readonly request: Omit<GenerateOptions, 'model' | 'signal'>
  readonly warnings: SharedV4Warning[]
}

/** A call in our words. `providerOptions.tabserve` takes any of our options. Throws `unsupported_parameter` for tools and files. */
export function readCall(options: LanguageModelV4CallOptions): ReadCall {
  const { responseFormat, tools, reasoning, providerOptions } = options
  if (tools !== undefined && tools.length > 0) throw unsupported('tools')
  const asksToReason = reasoning !== undefined && reasoning !== 'provider-default' && reasoning !== 'none'
  return {
    request: {
      ...samplingOf(options),
      ...structureOf(responseFormat),
      messages: options.prompt.map(messageOf),
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

function messageOf({ role, content }: LanguageModelV4Message): ChatMessage {
  if (role === 'tool') throw unsupported('tools')
  if (role === 'system') return { role, content }
  const texts = content.map((part) => {
    if (part.type === 'text') return part.text
    throw unsupported(`prompt: a part of type ${part.type}`)
  })
  return { role, content: texts.join('') }
}

function unsupported(param: string): EngineError {
  return new EngineError('unsupported_parameter', `${param} is not supported by tabserve yet.`, { param })
}
