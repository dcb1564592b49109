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

function fromFormat(format: unknown): StructuredOutputs | undefined {
  const { type, json_schema: named } = format as { type?: unknown; json_schema?: { schema?: unknown } }
  if (type === 'text') return undefined
  if (type === 'json_object') return { jsonObject: true }
  if (type !== 'json_schema')
    throw unsupported('response_format', `response_format has no type ${String(type)} in tabserve.`)
  const schema = named?.schema
  if (typeof schema === 'object' && schema !== null) return { json: schema }
  throw wrong('response_format', 'of type json_schema needs json_schema.schema, an object.')
}
