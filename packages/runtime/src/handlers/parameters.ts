import { checkNumber, checkOneOf } from '@tabserve/engine'
import { EngineError } from '@tabserve/protocol'

type Given = Readonly<Record<string, unknown>>

/** An item's parameters, read with a word about each; throws `bad_request`. Defaults are the model's own, then the task's. */
export class Parameters {
  readonly #given: Given
  readonly #model: Given

  /** @param known every parameter of the task: another one is refused. */
  constructor(given: Given, model: Given, known: readonly string[]) {
    const unknown = Object.keys(given).filter((name) => !known.includes(name))
    if (unknown.length > 0)
      throw new EngineError(
        'bad_request',
        `This task has no parameter ${unknown.join(', ')}; it has ${known.join(', ') || 'none'}.`,
      )
    this.#given = given
    this.#model = model
  }

  oneOf<Value extends string>(name: string, values: readonly Value[], standard: Value): Value {
    return (
      checkOneOf(name, this.#given[name] as Value | undefined, values) ??
      checkOneOf(name, this.#model[name] as Value | undefined, values) ??
      standard
    )
  }

  number(name: string, what: string, isRight: (value: number) => boolean, standard: number): number {
    const check = (value: unknown) => checkNumber(name, value as number | undefined, what, isRight)
    return check(this.#given[name]) ?? check(this.#model[name]) ?? standard
  }

  /** 0 to 1. */
  fraction(name: string, standard: number): number {
    return this.number(name, 'a number from 0 to 1', (value) => value >= 0 && value <= 1, standard)
  }

  /** A whole number of at least 1. */
  count(name: string, standard: number): number {
    return this.number(
      name,
      'a whole number of at least 1',
      (value) => Number.isInteger(value) && value >= 1,
      standard,
    )
  }

  flag(name: string, standard: boolean): boolean {
    const value = this.#given[name] ?? this.#model[name] ?? standard
    if (typeof value === 'boolean') return value
    throw new EngineError('bad_request', `${name} must be true or false.`)
  }

  text(name: string, standard: string): string {
    const value = this.#given[name] ?? this.#model[name] ?? standard
    if (typeof value === 'string') return value
    throw new EngineError('bad_request', `${name} must be a text.`)
  }

  has(name: string): boolean {
    return this.#given[name] !== undefined || this.#model[name] !== undefined
  }

  raw(name: string): unknown {
    return this.#given[name] ?? this.#model[name]
  }
}
