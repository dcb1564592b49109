import type { ChatMessage, GenerateRequest, ToolChoice } from '@tabserve/protocol'

/** A message as OpenAI's API has it. */
export function chatMessage({ role, content, toolCalls = [], toolCallId, reasoning }: ChatMessage): object {
  const calls = toolCalls.map(({ id, name, arguments: text }) => ({
    id,
    type: 'function',
    function: { name, arguments: text },
  }))
  return {
    role,
    content,
    ...(calls.length === 0 ? {} : { tool_calls: calls }),
    ...(toolCallId === undefined ? {} : { tool_call_id: toolCallId }),
    ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
  }
}

/** What a request says of tools, and to the chat template, in the same words. */
export function toolBody({
  tools = [],
  toolChoice,
  parallelToolCalls,
  templateOptions,
}: GenerateRequest): Record<string, unknown> {
  return {
    ...(tools.length === 0 ? {} : { tools: tools.map((tool) => ({ type: 'function', function: tool })) }),
    ...(tools.length === 0 || toolChoice === undefined ? {} : { tool_choice: choiceOf(toolChoice) }),
    ...(tools.length === 0 || parallelToolCalls === undefined
      ? {}
      : { parallel_tool_calls: parallelToolCalls }),
    ...(templateOptions === undefined ? {} : { chat_template_kwargs: templateOptions }),
  }
}

function choiceOf(choice: ToolChoice): unknown {
  return typeof choice === 'string' ? choice : { type: 'function', function: choice }
}
