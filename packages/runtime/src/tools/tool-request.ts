import type { GenerateRequest, ToolChoice, ToolDefinition } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

const MAX_TOOLS = 128
const NAME = /^[\w.-]{1,64}$/

/** What a request says of tools, checked and filled in. */
export interface ToolRequest {
  /** That may be called; of a named tool only this one. */
  readonly callable: readonly ToolDefinition[]
  /** That the template is told of. */
  readonly told: readonly ToolDefinition[]
  /** Whether an answer must be calls. */
  readonly isForced: boolean
  /** At most one call an answer. */
  readonly isSingle: boolean
}

/** Throws `bad_request`. `undefined`: no tools may be called. */
export function resolveTools(request: GenerateRequest): ToolRequest | undefined {
  const { tools, toolChoice, parallelToolCalls, messages } = request
  const told = tools === undefined ? [] : checkTools(tools)
  if (parallelToolCalls !== undefined && typeof parallelToolCalls !== 'boolean')
    throw wrong('parallelToolCalls', 'must be true or false.')
  const choice = checkChoice(toolChoice, told)
  if (told.length === 0) {
    if (choice === 'required') throw wrong('toolChoice', 'is required, but there are no tools.')
    return undefined
  }
  if (messages === undefined) throw wrong('tools', 'need messages: a prompt has no place for them.')
  if (choice === 'none') return undefined
  const isNamed = typeof choice === 'object'
  return {
    told,
    callable: isNamed ? told.filter(({ name }) => name === choice.name) : told,
    isForced: choice !== 'auto',
    isSingle: isNamed || parallelToolCalls === false,
  }
}

/** Throws `bad_request`. */
export function checkTools(tools: unknown): readonly ToolDefinition[] {
  if (!Array.isArray(tools) || tools.length > MAX_TOOLS)
    throw wrong('tools', `must be a list of at most ${MAX_TOOLS} tools.`)
  const names = new Set<string>()
  tools.forEach((tool: unknown, index) => {
    const param = `tools[${index}]`
    const { name, description, parameters, strict, ...unknown } = (tool ?? {}) as Record<string, unknown>
    if (typeof name !== 'string' || !NAME.test(name))
      throw wrong(`${param}.name`, 'must be 1 to 64 of the letters a-z, A-Z, 0-9, _, - and .')
    if (names.has(name)) throw wrong(`${param}.name`, `is ${name}, as another tool's.`)
    names.add(name)
    if (description !== undefined && typeof description !== 'string')
      throw wrong(`${param}.description`, 'must be a text.')
    if (parameters !== undefined && (typeof parameters !== 'object' || parameters === null))
      throw wrong(`${param}.parameters`, 'must be a JSON schema.')
    if (strict !== undefined && typeof strict !== 'boolean')
      throw wrong(`${param}.strict`, 'must be true or false.')
    const [other] = Object.keys(unknown)
    if (other !== undefined) throw wrong(`${param}.${other}`, 'is nothing that a tool has.')
  })
  return tools as readonly ToolDefinition[]
}

function checkChoice(choice: unknown, tools: readonly ToolDefinition[]): ToolChoice {
  if (choice === undefined) return 'auto'
  if (choice === 'none' || choice === 'auto' || choice === 'required') return choice
  const { name } = (choice ?? {}) as { name?: unknown }
  if (typeof name !== 'string') throw wrong('toolChoice', 'must be none, auto, required or { name }.')
  if (!tools.some((tool) => tool.name === name)) throw wrong('toolChoice', `names ${name}, which is no tool.`)
  return { name }
}

function wrong(param: string, message: string): EngineError {
  return new EngineError('bad_request', `${param} ${message}`, { param })
}
