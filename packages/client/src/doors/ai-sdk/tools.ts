import type { LanguageModelV4CallOptions } from '@ai-sdk/provider'
import type { ToolChoice, ToolDefinition } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { GenerateOptions } from '../../client-options.ts'

/** Tools in our words. Throws `unsupported_parameter` for those that a provider would have to execute. */
export function toolsOf({
  tools = [],
  toolChoice,
}: Pick<LanguageModelV4CallOptions, 'tools' | 'toolChoice'>): Pick<GenerateOptions, 'tools' | 'toolChoice'> {
  if (tools.length === 0) return {}
  return {
    tools: tools.map(toolOf),
    ...(toolChoice === undefined ? {} : { toolChoice: choiceOf(toolChoice) }),
  }
}

function toolOf(tool: NonNullable<LanguageModelV4CallOptions['tools']>[number]): ToolDefinition {
  if (tool.type !== 'function') {
    const message = `The tool ${tool.name} is a provider's own; tabserve has none.`
    throw new EngineError('unsupported_parameter', message, { param: 'tools' })
  }
  const { name, description, inputSchema, strict } = tool
  return {
    name,
    parameters: inputSchema,
    ...(description === undefined ? {} : { description }),
    ...(strict === undefined ? {} : { strict }),
  }
}

function choiceOf(choice: NonNullable<LanguageModelV4CallOptions['toolChoice']>): ToolChoice {
  return choice.type === 'tool' ? { name: choice.toolName } : choice.type
}
