import { EngineError } from '@tabserve/protocol'

/** The options that are not among the known ones. */
export function unknownOf(options: object, known: object): object {
  return Object.fromEntries(Object.entries(options).filter(([name]) => !Object.hasOwn(known, name)))
}

/** Throws `bad_request` when there is one. */
export function refuse(unknown: object, where: string): void {
  const [name] = Object.keys(unknown)
  if (name !== undefined) throw new EngineError('bad_request', `${where} has no option ${name}.`)
}
