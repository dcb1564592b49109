import type { LanguageModelV4Message, LanguageModelV4ToolResultOutput } from '@ai-sdk/provider'
import type { ChatMessage } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** A message in our words; the results of several calls are a message each. Throws `unsupported_parameter` for files. */
export function messagesOf({ role, content }: LanguageModelV4Message): ChatMessage[] {
  switch (role) {
    case 'system':
      return [{ role, content }]
    case 'user':
      return [{ role, content: content.map((part) => textOf(part)).join('') }]
    case 'assistant':
      return [assistantMessage(content)]
    case 'tool':
      return content.map((part) => {
        if (part.type !== 'tool-result') throw unsupported(part.type)
        return { role, content: resultText(part.output), toolCallId: part.toolCallId }
      })
  }
}

type AssistantContent = Extract<LanguageModelV4Message, { role: 'assistant' }>['content']

function assistantMessage(content: AssistantContent): ChatMessage {
  const calls = content.filter((part) => part.type === 'tool-call')
  const thoughts = content.filter((part) => part.type === 'reasoning')
  const others = content.filter(({ type }) => type !== 'tool-call' && type !== 'reasoning')
  return {
    role: 'assistant',
    content: others.map((part) => textOf(part)).join(''),
    ...(thoughts.length === 0 ? {} : { reasoning: thoughts.map(({ text }) => text).join('') }),
    ...(calls.length === 0
      ? {}
      : {
          toolCalls: calls.map(({ toolCallId: id, toolName: name, input }) => ({
            id,
            name,
            // What could not be read as JSON comes back as it was.
            arguments: typeof input === 'string' ? input : JSON.stringify(input),
          })),
        }),
  }
}

function textOf(part: { readonly type: string; readonly text?: unknown }): string {
  if (part.type === 'text' && typeof part.text === 'string') return part.text
  throw unsupported(part.type)
}

function resultText(output: LanguageModelV4ToolResultOutput): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value
    case 'json':
    case 'error-json':
      return JSON.stringify(output.value)
    case 'execution-denied':
      return output.reason ?? 'The call was not allowed.'
    case 'content':
      return output.value.map((part) => textOf(part)).join('')
  }
}

function unsupported(type: string): EngineError {
  const message = `prompt: a part of type ${type} is not supported by tabserve yet.`
  return new EngineError('unsupported_parameter', message, { param: 'prompt' })
}
