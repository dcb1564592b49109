import type { ToolDefinition } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { GrammarSpec } from '../grammar/grammar-spec.ts'
import { convertibleSchema } from '../grammar/json-schema.ts'
import type { StructuralFormat, TagFormat } from '../grammar/structural-format.ts'
import { formatOf, structuralSpec } from '../grammar/structural-format.ts'
import type { CallSyntax } from './call-syntax.ts'
import type { ToolRequest } from './tool-request.ts'

const NO_ARGUMENTS = { type: 'object', properties: {}, additionalProperties: false }

/** How an answer may begin before its calls. `open`: its prompt ends within a thought. */
export type Thinking = 'open' | 'may' | 'never'

/** Nothing but calls: one, or, where several may be, one or more. Throws `bad_request` for a strict tool whose schema cannot be held to. */
export function forcedCalls(request: ToolRequest, syntax: CallSyntax, thinking: Thinking): GrammarSpec {
  const calls = block(request, syntax)
  const thought = (begin: string): StructuralFormat => ({
    type: 'sequence',
    elements: [
      { type: 'tag', begin, content: { type: 'any_text' }, end: '</think>' },
      { type: 'const_string', value: '\n\n' },
      calls,
    ],
  })
  if (thinking === 'open') return structuralSpec(thought(''))
  if (thinking === 'never') return structuralSpec(calls)
  return structuralSpec({ type: 'or', elements: [thought('<think>\n'), calls] })
}

/** The arguments of one tool, and nothing around them. */
export function argumentsOnly(tool: ToolDefinition): GrammarSpec {
  return { kind: 'json-schema', text: JSON.stringify(schemaOf(tool)) }
}

/** Text, and where a call begins in it, a whole one whose arguments are held to. */
export function heldCalls(request: ToolRequest, syntax: CallSyntax): GrammarSpec {
  const { open, close, trigger } = syntax
  const content = separated(request, syntax)
  const tags =
    open === ''
      ? request.callable.map((tool) => callTag(tool, syntax))
      : [{ type: 'tag' as const, begin: open, content, end: close }]
  return structuralSpec({
    type: 'triggered_tags',
    triggers: [trigger],
    tags,
    at_least_one: false,
    stop_after_first: request.isSingle,
  })
}

/** What the whole answer is held to, or one call. XGrammar has no choice between something that ends and a list that may go on. */
export function structureOrCall(
  structure: GrammarSpec,
  request: ToolRequest,
  syntax: CallSyntax,
): GrammarSpec {
  const { open, close } = syntax
  const calls = request.callable.map((tool): StructuralFormat => {
    const tag = callTag(tool, syntax)
    return { ...tag, begin: open + tag.begin, end: tag.end + close }
  })
  return structuralSpec({ type: 'or', elements: [formatOf(structure), ...calls] })
}

function block(request: ToolRequest, syntax: CallSyntax): StructuralFormat {
  const calls = separated(request, syntax)
  const { open, close } = syntax
  if (open === '') return calls
  return { type: 'tag', begin: open, content: calls, end: close }
}

function separated(request: ToolRequest, syntax: CallSyntax): StructuralFormat {
  return {
    type: 'tags_with_separator',
    tags: request.callable.map((tool) => callTag(tool, syntax)),
    separator: syntax.separator,
    at_least_one: true,
    stop_after_first: request.isSingle,
  }
}

function callTag(tool: ToolDefinition, { begin, end }: CallSyntax): TagFormat {
  const content = { type: 'json_schema', json_schema: schemaOf(tool) } as const
  return { type: 'tag', begin: begin(tool.name), content, end }
}

/** What arguments are held to: of a tool that is not strict any object, where XGrammar cannot hold to its schema. */
function schemaOf({ name, parameters, strict }: ToolDefinition): object {
  try {
    return convertibleSchema(parameters ?? NO_ARGUMENTS) as object
  } catch (error) {
    if (!(error instanceof EngineError)) throw error
    if (strict !== true) return convertibleSchema({ type: 'object' }) as object
    throw new EngineError('bad_request', `The tool ${name} cannot be strict. ${error.message}`, {
      cause: error,
    })
  }
}
