import type { ToolChoice, ToolDefinition } from '@tabserve/protocol'
import type { GenerateOptions } from '../../client-options.ts'
import type { Fields } from './fields.ts'
import { unsupported, wrong } from './fields.ts'

/** A tool as `chat.completions` names it. */
export interface ChatTool {
  type: 'function'
  function: {
    name: string
    description?: string
    parameters?: Record<string, unknown>
    strict?: boolean | null
  }
}

/** A tool as `responses` names it. */
export interface ResponseTool {
  type: 'function'
  name: string
  description?: string | null
  parameters: Record<string, unknown> | null
  strict?: boolean | null
}

export type ChatToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | { type: 'function'; function: { name: string } }
  | {
      type: 'allowed_tools'
      allowed_tools: { mode: 'auto' | 'required'; tools: Record<string, unknown>[] }
    }

export type ResponseToolChoice =
  | 'none'
  | 'auto'
  | 'required'
  | { type: 'function'; name: string }
  | { type: 'allowed_tools'; mode: 'auto' | 'required'; tools: Record<string, unknown>[] }

type ToolOptions = Pick<GenerateOptions, 'tools' | 'toolChoice' | 'parallelToolCalls'>

/** `chat.completions` has what a function is in an object of that name, `responses` beside its type. */
type Form = 'chat' | 'responses'

/** The options of ours for `tools`, `tool_choice` and `parallel_tool_calls`. Throws `unsupported_parameter` for tools that are no functions, `bad_request`. */
export function toolsOf(fields: Fields, form: Form): ToolOptions {
  const { tools, tool_choice: choice, parallel_tool_calls: parallel } = fields
  if (tools !== undefined && !Array.isArray(tools)) throw wrong('tools', 'must be a list.')
  const given = (tools ?? []).map((tool: unknown, index: number) => toolOf(tool, `tools[${index}]`, form))
  const allowed = allowedTools(choice, form)
  return {
    ...(given.length === 0 ? {} : { tools: kept(given, allowed) }),
    ...(choice === undefined ? {} : { toolChoice: choiceOf(choice, form) }),
    ...(parallel === undefined ? {} : { parallelToolCalls: parallel as boolean }),
  }
}

function toolOf(tool: unknown, param: string, form: Form): ToolDefinition {
  const { name, description, parameters, strict } = functionOf(tool, param, form)
  const given = { name, description, parameters, strict }
  // What is wrong with them the engine says.
  return Object.fromEntries(
    Object.entries(given).filter(([, value]) => value !== undefined && value !== null),
  ) as unknown as ToolDefinition
}

function functionOf(value: unknown, param: string, form: Form): Readonly<Record<string, unknown>> {
  const { type, function: inner, ...outer } = (value ?? {}) as Record<string, unknown>
  if (type !== 'function') {
    if (typeof type !== 'string') throw wrong(`${param}.type`, 'must be function.')
    throw unsupported(`${param}.type`, `${param}.type is ${type}; tabserve calls functions only.`)
  }
  if (form === 'responses') return outer
  if (typeof inner === 'object' && inner !== null) return inner as Readonly<Record<string, unknown>>
  throw wrong(`${param}.function`, 'must be an object.')
}

function choiceOf(choice: unknown, form: Form): ToolChoice {
  if (typeof choice === 'string') return choice as ToolChoice
  const { type } = (choice ?? {}) as { type?: unknown }
  if (type === 'allowed_tools') return allowance(choice, form).mode
  return { name: functionOf(choice, 'tool_choice', form)['name'] as string }
}

interface Allowance {
  readonly mode: 'auto' | 'required'
  readonly tools: readonly unknown[]
}

function allowance(choice: unknown, form: Form): Allowance {
  const param = 'tool_choice'
  const { allowed_tools: inner, ...outer } = choice as Record<string, unknown>
  const { mode, tools } = (form === 'chat' ? (inner ?? {}) : outer) as Partial<Allowance>
  if (mode !== 'auto' && mode !== 'required') throw wrong(`${param}.mode`, 'must be auto or required.')
  if (!Array.isArray(tools) || tools.length === 0)
    throw wrong(`${param}.tools`, 'must be a list of at least one tool.')
  return { mode, tools }
}

/** Names of the tools that may be used; `undefined`: all. */
function allowedTools(choice: unknown, form: Form): readonly unknown[] | undefined {
  if ((choice as { type?: unknown } | undefined)?.type !== 'allowed_tools') return undefined
  const { tools } = allowance(choice, form)
  return tools.map((tool, index) => functionOf(tool, `tool_choice.tools[${index}]`, form)['name'])
}

function kept(
  tools: readonly ToolDefinition[],
  allowed: readonly unknown[] | undefined,
): readonly ToolDefinition[] {
  if (allowed === undefined) return tools
  const unknown = allowed.find((name) => !tools.some((tool) => tool.name === name))
  if (unknown !== undefined) throw wrong('tool_choice', `allows ${String(unknown)}, which is no tool.`)
  return tools.filter(({ name }) => allowed.includes(name))
}
