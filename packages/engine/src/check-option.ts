import { EngineError } from '@tabserve/protocol'

/** Each check gives `undefined` for an option that was not given, and throws `bad_request` for one that is wrong. */
export function checkNumber(
  option: string,
  value: unknown,
  allowed: string,
  isAllowed: (value: number) => boolean,
): number | undefined {
  if (value === undefined) return undefined
  if (typeof value !== 'number' || !Number.isFinite(value) || !isAllowed(value))
    throw refusal(option, value, allowed)
  return value
}

export function checkBoolean(option: string, value: unknown): boolean | undefined {
  if (value === undefined || typeof value === 'boolean') return value
  throw refusal(option, value, 'true or false')
}

export function checkString(option: string, value: unknown): string | undefined {
  if (value === undefined || typeof value === 'string') return value
  throw refusal(option, value, 'a string')
}

export function checkOneOf<const Word extends string>(
  option: string,
  value: unknown,
  words: readonly Word[],
): Word | undefined {
  if (value === undefined) return undefined
  const word = words.find((word) => word === value)
  if (word !== undefined) return word
  throw refusal(option, value, `one of ${words.map((word) => JSON.stringify(word)).join(', ')}`)
}

export function refusal(option: string, value: unknown, allowed: string): EngineError {
  return new EngineError('bad_request', `${option} must be ${allowed}, not ${show(value)}.`, {
    param: option,
  })
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.length > 40 ? `${value.slice(0, 40)}…` : value)
  if (isList(value)) return value.length > 4 ? `a list of ${value.length}` : `[${value.map(show).join(', ')}]`
  if (typeof value === 'object' && value !== null) return 'an object'
  return typeof value === 'function' ? 'a function' : String(value)
}

/** `Array.isArray`, which would answer `any[]`. */
export function isList(value: unknown): value is readonly unknown[] {
  return Array.isArray(value)
}
