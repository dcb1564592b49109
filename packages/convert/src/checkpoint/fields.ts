import { ConvertError } from '../convert-error.ts'

/** Takes values of a known type out of something that a file said, and says in its words what is wrong with it. */
export class Fields {
  readonly #where: string
  readonly #get: (key: string) => unknown

  /** @param where what the sentence of an error begins with: "config.json". */
  constructor(where: string, get: (key: string) => unknown) {
    this.#where = where
    this.#get = get
  }

  /** Absent and null are the same: configurations write both. */
  value(key: string): unknown {
    return this.#get(key) ?? undefined
  }

  optionalNumber(key: string): number | undefined {
    const value = this.value(key)
    if (value === undefined) return undefined
    if (typeof value !== 'number' || !Number.isFinite(value)) throw this.wrong(key, 'a number')
    return value
  }

  number(key: string): number {
    return this.optionalNumber(key) ?? this.#missing(key)
  }

  /** A size: whole and from 1 to 10 million, more than any part of a model has. */
  optionalCount(key: string): number | undefined {
    const value = this.optionalNumber(key)
    if (value !== undefined && (!Number.isInteger(value) || value < 1 || value > 10_000_000))
      throw this.wrong(key, 'a whole number of a sensible size')
    return value
  }

  count(key: string): number {
    return this.optionalCount(key) ?? this.#missing(key)
  }

  optionalBoolean(key: string): boolean | undefined {
    const value = this.value(key)
    if (value !== undefined && typeof value !== 'boolean') throw this.wrong(key, 'true or false')
    return value
  }

  optionalText(key: string): string | undefined {
    const value = this.value(key)
    if (value !== undefined && typeof value !== 'string') throw this.wrong(key, 'a text')
    return value
  }

  wrong(key: string, what: string): ConvertError {
    return new ConvertError(`${this.#where} must have ${what} in "${key}"`)
  }

  #missing(key: string): never {
    throw new ConvertError(`${this.#where} has no "${key}"`)
  }
}

export function recordFields(where: string, record: Readonly<Record<string, unknown>>): Fields {
  return new Fields(where, (key) => (Object.hasOwn(record, key) ? record[key] : undefined))
}
