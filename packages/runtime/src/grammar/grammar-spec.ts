import type { StructuredOutputs } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { convertibleSchema } from './json-schema.ts'

/** What XGrammar compiles. Equal ones are compiled once. */
export type GrammarSpec =
  | { readonly kind: 'json-schema'; readonly text: string }
  | { readonly kind: 'regex'; readonly text: string }
  | { readonly kind: 'ebnf'; readonly text: string }
  /** JSON of a `StructuralFormat`. Markers of calls are text to it, also where the vocabulary has them as special tokens. */
  | { readonly kind: 'structural-tag'; readonly text: string }

const KINDS = ['json', 'jsonObject', 'regex', 'choice', 'grammar'] as const
const MAX_CHOICES = 1000
const MAX_LETTERS = 2 ** 18

/** Takes `structuredOutputs` apart. Throws `bad_request` for what is wrong or cannot be held to. */
export function resolveGrammar(wanted: StructuredOutputs): GrammarSpec {
  if (typeof wanted !== 'object' || wanted === null)
    throw wrong(`must be an object with one of ${KINDS.join(', ')}`)
  const given = Object.entries(wanted).filter(([, value]) => value !== undefined)
  const [entry] = given
  if (entry === undefined || given.length > 1) throw wrong(`needs exactly one of ${KINDS.join(', ')}`)
  const [kind, value] = entry as [string, unknown]
  switch (kind) {
    case 'json':
      return { kind: 'json-schema', text: short(kind, JSON.stringify(convertibleSchema(value))) }
    case 'jsonObject':
      if (value !== true) throw wrong('.jsonObject must be true')
      return { kind: 'json-schema', text: JSON.stringify(convertibleSchema({ type: 'object' })) }
    case 'regex':
      return { kind: 'regex', text: short(kind, value) }
    case 'grammar':
      return { kind: 'ebnf', text: short(kind, value) }
    case 'choice':
      return { kind: 'ebnf', text: short(kind, choiceGrammar(value)) }
    default:
      throw wrong(`has no ${kind}; it takes one of ${KINDS.join(', ')}`)
  }
}

function choiceGrammar(choices: unknown): string {
  const isText = (choice: unknown) => typeof choice === 'string' && choice !== ''
  if (!Array.isArray(choices) || choices.length < 1 || choices.length > MAX_CHOICES || !choices.every(isText))
    throw wrong(`.choice must be a list of 1 to ${MAX_CHOICES} strings, none of them empty`)
  return `root ::= ${choices.map((choice: string) => `"${escaped(choice)}"`).join(' | ')}`
}

/** EBNF's escapes are C's. */
function escaped(text: string): string {
  return [...text]
    .map((letter) => {
      const code = letter.codePointAt(0) ?? 0
      if (letter === '"' || letter === '\\') return `\\${letter}`
      return code >= 32 && code < 127 ? letter : `\\U${code.toString(16).padStart(8, '0')}`
    })
    .join('')
}

function short(kind: string, text: unknown): string {
  if (typeof text !== 'string' || text === '') throw wrong(`.${kind} must be a string that is not empty`)
  if (text.length > MAX_LETTERS) throw wrong(`.${kind} is longer than ${MAX_LETTERS} letters`)
  return text
}

function wrong(problem: string): EngineError {
  return new EngineError('bad_request', `structuredOutputs${problem.startsWith('.') ? '' : ' '}${problem}.`)
}
