import { EngineError } from '@tabserve/protocol'

/** A schema that is not `true` or `false`. */
export type SchemaObject = Readonly<Record<string, unknown>>

export function isObject(value: unknown): value is SchemaObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** @param path of the part of the schema, from `#`. */
export function refusal(path: string, problem: string): EngineError {
  return new EngineError('bad_request', `The JSON schema cannot be used: at ${path}, ${problem}.`)
}
