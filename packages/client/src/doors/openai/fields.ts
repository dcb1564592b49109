import { EngineError } from '@tabserve/protocol'

/**
 * What becomes of a field of a request. `used`: it is read. `ignored`: it changes no answer of ours. A function: fields of what we do
 * not do; it says which values ask for nothing of it.
 */
export type FieldRule = 'used' | 'ignored' | ((value: unknown) => boolean)

export type FieldRules = Readonly<Record<string, FieldRule>>

/** The values of the used fields; `null` is as good as absent, as in OpenAI's API. */
export type Fields = Readonly<Record<string, unknown>>

/** Throws `unsupported_parameter` for a field that would have to be passed over in silence, `bad_request` for what is no object. */
export function readFields(body: unknown, rules: FieldRules, endpoint: string): Fields {
  if (typeof body !== 'object' || body === null || Array.isArray(body))
    throw new EngineError('bad_request', `${endpoint} takes an object of parameters.`)
  const given = Object.entries(body).filter(([, value]) => value !== undefined && value !== null)
  for (const [name, value] of given) {
    const rule = Object.hasOwn(rules, name) ? rules[name] : undefined
    if (rule === undefined) throw unsupported(name, `${endpoint} has no parameter ${name}.`)
    if (typeof rule === 'function' && !rule(value))
      throw unsupported(
        name,
        `${name} is not supported with this value by ${endpoint} of tabserve; leave it out.`,
      )
  }
  return Object.fromEntries(given.filter(([name]) => rules[name] === 'used'))
}

export function unsupported(param: string, message: string): EngineError {
  return new EngineError('unsupported_parameter', message, { param })
}

export function wrong(param: string, message: string): EngineError {
  return new EngineError('bad_request', `${param} ${message}`, { param })
}

/** Throws `bad_request`. */
export function textField(fields: Fields, name: string): string {
  const value = fields[name]
  if (typeof value === 'string' && value !== '') return value
  throw wrong(name, 'must be a text that is not empty.')
}

/** Throws `bad_request`. */
export function flagField(fields: Fields, name: string): boolean {
  const value = fields[name] ?? false
  if (typeof value === 'boolean') return value
  throw wrong(name, 'must be true or false.')
}

export const never = (): boolean => false

export function isOneOf(...harmless: readonly unknown[]): (value: unknown) => boolean {
  return (value) => harmless.includes(value)
}

export function isEmptyList(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0
}
