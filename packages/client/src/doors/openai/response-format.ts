import type { StructuredOutputs } from '@tabserve/protocol'
import type { Fields } from './fields.ts'
import { unsupported, wrong } from './fields.ts'

/** OpenAI's way to say what an answer is held to. The name and `strict` of a schema change nothing here: every schema is held to. */
export type ResponseFormat =
  | { type: 'text' }
  | { type: 'json_object' }
  | { type: 'json_schema'; json_schema: { name?: string; schema: object; strict?: boolean | null } }

/** The option of ours for `response_format`; vLLM's `structured_outputs` is that option already. Throws `bad_request`, `unsupported_parameter`. */
export function structureOf({ response_format: format, structured_outputs: given }: Fields): {
  readonly structuredOutputs?: StructuredOutputs
} {
  const wanted = format === undefined ? undefined : fromFormat(format)
  if (wanted === undefined) return {}
  if (given !== undefined) throw wrong('structured_outputs', 'cannot be given beside a response_format.')
  return { structuredOutputs: wanted }
}

/** The option of ours for `text`, as `responses` says it: a format's schema is in it, not below. Throws as `structureOf` does. */
export function textStructureOf({ text, structured_outputs: given }: Fields): {
  readonly structuredOutputs?: StructuredOutputs
} {
  if (text === undefined) return {}
  const { format, verbosity, ...unknown } = text as { format?: unknown; verbosity?: unknown }
  const [other] = Object.keys(unknown)
  if (typeof text !== 'object' || other !== undefined)
    throw wrong('text', 'must be an object with a format and a verbosity.')
  if ((verbosity ?? 'medium') !== 'medium')
    throw unsupported('text.verbosity', 'text.verbosity: models here know nothing of it; leave it out.')
  const wanted = format === undefined || format === null ? undefined : fromFlatFormat(format)
  if (wanted === undefined) return {}
  if (given !== undefined) throw wrong('structured_outputs', 'cannot be given beside a text.format.')
  return { structuredOutputs: wanted }
}

function fromFormat(format: unknown): StructuredOutputs | undefined {
  const { type, json_schema: named } = format as { type?: unknown; json_schema?: { schema?: unknown } }
  return structured('response_format', type, named?.schema)
}

function fromFlatFormat(format: unknown): StructuredOutputs | undefined {
  const { type, schema } = format as { type?: unknown; schema?: unknown }
  return structured('text.format', type, schema)
}

function structured(param: string, type: unknown, schema: unknown): StructuredOutputs | undefined {
  if (type === 'text') return undefined
  if (type === 'json_object') return { jsonObject: true }
  if (type !== 'json_schema') throw unsupported(param, `${param} has no type ${String(type)} in tabserve.`)
  if (typeof schema === 'object' && schema !== null) return { json: schema }
  throw wrong(param, 'of type json_schema needs its schema, an object.')
}
