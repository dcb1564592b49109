import type { GenerateRequest, ToolParserName } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { GrammarSpec } from '../grammar/grammar-spec.ts'
import { resolveGrammar } from '../grammar/grammar-spec.ts'
import type { AnswerFormat } from './answer-reader.ts'
import { THOUGHT_MARKS } from './answer-reader.ts'
import type { Thinking } from './call-grammar.ts'
import { argumentsOnly, forcedCalls, heldCalls, structureOrCall } from './call-grammar.ts'
import type { CallFamily } from './call-family.ts'
import { CALL_FAMILIES, PLAIN_JSON } from './call-family.ts'
import { passJson } from './json-reading.ts'
import { KnownTools } from './known-tools.ts'
import { resolveTools } from './tool-request.ts'
import type { ToolRequest } from './tool-request.ts'

/** What is known of how a model writes. */
export interface ModelHabits {
  /** Absent: its chat template has no words that we know. */
  readonly parser: ToolParserName | undefined
  /** Whether its chat template knows of thoughts. */
  readonly thinks: boolean
}

/** What an answer is held to, and how it is read. */
export interface AnswerPlan {
  readonly tools: ToolRequest | undefined
  /** @param prompt as the template renders it. */
  readonly grammar: (prompt: string) => GrammarSpec | undefined
  /** `undefined`: all of it is text. */
  readonly format: (prompt: string) => AnswerFormat | undefined
}

/** Throws `bad_request` for what is wrong with a request's tools, `unsupported_parameter` for what the model cannot do with them. */
export function planAnswer(request: GenerateRequest, habits: ModelHabits): AnswerPlan {
  const { separateReasoning, messages } = request
  const tools = resolveTools(request)
  const apart = checkFlag('separateReasoning', separateReasoning) && messages !== undefined
  const structure =
    request.structuredOutputs === undefined ? undefined : resolveGrammar(request.structuredOutputs)
  const thinks = habits.thinks && messages !== undefined
  const thoughts = (prompt: string) => (thinks ? { thoughts: { isOpen: isThinking(prompt), apart } } : {})
  if (tools === undefined) {
    // What is held to something from its first token on has no thoughts.
    const mayThink = thinks && apart && structure === undefined
    return { tools, grammar: () => structure, format: (prompt) => (mayThink ? thoughts(prompt) : undefined) }
  }
  if (tools.isForced && structure !== undefined)
    throw unsupported('structuredOutputs', 'cannot be given where toolChoice leaves nothing but calls.')
  const family = familyFor(tools, habits)
  const calls = { family, tools: new KnownTools(tools.told) }
  const grammar = grammarFor(tools, family, structure)
  const mayThink = tools.isForced ? family.syntax !== undefined : structure === undefined
  return {
    tools,
    grammar: (prompt) => grammar(thinks ? thinkingAt(prompt) : 'never'),
    format: (prompt) => ({ ...(mayThink ? thoughts(prompt) : {}), calls }),
  }
}

/** Every text that may be a special token and must be read all the same. */
export function marksOf(parser: ToolParserName | undefined): readonly string[] {
  if (parser === undefined) return THOUGHT_MARKS
  const { openers, marks = [] } = CALL_FAMILIES[parser]
  return [...openers, ...marks, ...THOUGHT_MARKS]
}

/** Forced calls are written as the model is used to, where a grammar can do that; the bare arguments do where there is one tool and no form. */
function familyFor(tools: ToolRequest, { parser }: ModelHabits): CallFamily {
  const family = parser === undefined ? undefined : CALL_FAMILIES[parser]
  if (tools.isForced) {
    if (family?.syntax !== undefined) return family
    const [only, ...others] = tools.callable
    return only !== undefined && others.length === 0 && tools.isSingle ? bareArguments(only.name) : PLAIN_JSON
  }
  if (family !== undefined) return family
  const problem = 'auto needs a model whose chat template has a known form of calls.'
  const advice = 'Use required or a named tool, or say at load how the model writes them: toolParser.'
  throw unsupported('toolChoice', `${problem} ${advice}`)
}

function grammarFor(
  tools: ToolRequest,
  { syntax }: CallFamily,
  structure: GrammarSpec | undefined,
): (thinking: Thinking) => GrammarSpec | undefined {
  const [only] = tools.callable
  if (tools.isForced) {
    if (syntax === undefined) return () => only && argumentsOnly(only)
    return (thinking) => forcedCalls(tools, syntax, thinking)
  }
  const isStrict = tools.callable.some(({ strict }) => strict === true)
  const reason = [
    structure === undefined ? undefined : 'structuredOutputs',
    tools.isSingle ? 'parallelToolCalls' : undefined,
    isStrict ? 'tools' : undefined,
  ].find((param) => param !== undefined)
  if (reason === undefined) return () => undefined
  if (syntax === undefined)
    throw unsupported(reason, 'asks for a grammar of calls, and none can write those of this model.')
  const spec = structure === undefined ? heldCalls(tools, syntax) : structureOrCall(structure, tools, syntax)
  return () => spec
}

/** The whole answer is the arguments of one tool. */
function bareArguments(name: string): CallFamily {
  return {
    openers: ['{'],
    atStart: true,
    *read(source, sink) {
      source.at -= 1
      sink.call(name)
      yield* passJson(source, (text) => sink.arguments(text))
      return true
    },
    writes: () => false,
  }
}

function isThinking(prompt: string): boolean {
  return /<think>\s*$/.test(prompt)
}

/** What may come first: nothing where the prompt has the thought already, as templates write it where the caller wants none. */
function thinkingAt(prompt: string): Thinking {
  if (isThinking(prompt)) return 'open'
  return /<\/think>\s*$/.test(prompt) ? 'never' : 'may'
}

function checkFlag(param: string, value: unknown): boolean {
  if (value === undefined || typeof value === 'boolean') return value ?? false
  throw new EngineError('bad_request', `${param} must be true or false.`, { param })
}

function unsupported(param: string, message: string): EngineError {
  return new EngineError('unsupported_parameter', `${param}: ${message}`, { param })
}
