import { isRecord } from '@tabserve/protocol'
import type { ToolCallDelta } from '@tabserve/protocol'
import { chatMessage, toolBody } from './openai-tools.ts'
import type { RemotePiece, RemoteProtocol } from './remote-protocol.ts'
import { finishReasonOf, samplingBody } from './remote-protocol.ts'

/** OpenAI's chat completions for `messages`, its completions for a `prompt`. */
export const openAiProtocol: RemoteProtocol = {
  saysEnd: true,
  path: ({ messages }) => (messages === undefined ? 'completions' : 'chat/completions'),
  body: (request, model) => ({
    model,
    ...(request.messages === undefined
      ? { prompt: request.prompt }
      : { messages: request.messages.map(chatMessage), ...toolBody(request) }),
    ...samplingBody(request),
    ...(request.n === undefined ? {} : { n: request.n }),
    stream: true,
    stream_options: { include_usage: true },
  }),
  pieces(event) {
    if (event['error'] !== undefined) return [{ type: 'error', message: messageOf(event['error']) }]
    const choices = Array.isArray(event['choices']) ? event['choices'].filter(isRecord) : []
    return [...choices.flatMap(choicePieces), ...usagePieces(event['usage'])]
  },
}

function choicePieces(choice: Record<string, unknown>): RemotePiece[] {
  const index = typeof choice['index'] === 'number' ? choice['index'] : 0
  const said = choice['delta'] ?? choice['message'] // `message` where the server does not stream
  const text = isRecord(said) ? said['content'] : choice['text']
  const calls = isRecord(said) && Array.isArray(said['tool_calls']) ? said['tool_calls'].filter(isRecord) : []
  const reasoning = isRecord(said) ? said['reasoning_content'] : undefined
  const reason = choice['finish_reason']
  return [
    ...(typeof reasoning === 'string' && reasoning !== ''
      ? [{ type: 'reasoning', choice: index, text: reasoning } as const]
      : []),
    ...(typeof text === 'string' && text !== '' ? [{ type: 'text', choice: index, text } as const] : []),
    ...(calls.length === 0 ? [] : [{ type: 'calls', choice: index, calls: calls.map(callDelta) } as const]),
    ...(typeof reason === 'string'
      ? [{ type: 'end', choice: index, reason: finishReasonOf(reason) } as const]
      : []),
  ]
}

/** A piece of a call; `place` counts where a server that does not stream leaves the index out. */
function callDelta(call: Record<string, unknown>, place: number): ToolCallDelta {
  const { index = place, id, function: called } = call
  const { name, arguments: text } = isRecord(called) ? called : {}
  return {
    index: typeof index === 'number' ? index : place,
    ...(typeof id === 'string' ? { id } : {}),
    ...(typeof name === 'string' ? { name } : {}),
    arguments: typeof text === 'string' ? text : '',
  }
}

function usagePieces(usage: unknown): RemotePiece[] {
  if (!isRecord(usage)) return []
  const details = usage['prompt_tokens_details']
  return [
    {
      type: 'usage',
      usage: {
        promptTokens: count(usage['prompt_tokens']),
        cachedTokens: isRecord(details) ? count(details['cached_tokens']) : 0,
        completionTokens: count(usage['completion_tokens']),
      },
    },
  ]
}

function count(value: unknown): number {
  return typeof value === 'number' ? value : 0
}

function messageOf(error: unknown): string {
  const message = isRecord(error) ? error['message'] : error
  return typeof message === 'string' ? message : JSON.stringify(error)
}
