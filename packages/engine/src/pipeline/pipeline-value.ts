import type { PipelineValue } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** Names of what a value is made of: nodes, or `input`. @param whose for the message. Throws `bad_request`. */
export function sourcesOf(value: unknown, whose: string): string[] {
  if (typeof value === 'string') {
    if (SOURCE.test(value)) return [value.split('.')[0] ?? '']
  } else if (Array.isArray(value)) {
    return value.flatMap((each) => sourcesOf(each, whose))
  } else if (typeof value === 'object' && value !== null) {
    return isConstant(value) ? [] : Object.values(value).flatMap((each) => sourcesOf(each, whose))
  }
  throw new EngineError(
    'bad_request',
    `${whose} takes ${JSON.stringify(value)}; sources are "input", a node's name, or fields of them as in "split.0".`,
    { param: 'pipeline' },
  )
}

/** What a value is, given what the nodes gave. Throws `bad_request` for a field of what has none. */
export function valueOf(value: PipelineValue, given: ReadonlyMap<string, unknown>): unknown {
  if (typeof value === 'string') return fieldOf(value, given)
  if (Array.isArray(value)) return value.map((each: PipelineValue) => valueOf(each, given))
  if (isConstant(value)) return value.value
  return Object.fromEntries(
    Object.entries(value).map(([field, each]) => [field, valueOf(each as PipelineValue, given)]),
  )
}

const SOURCE = /^[A-Za-z_]\w*(\.\w+)*$/

function fieldOf(path: string, given: ReadonlyMap<string, unknown>): unknown {
  const [source = '', ...fields] = path.split('.')
  let found = given.get(source)
  for (const field of fields) {
    if (typeof found !== 'object' || found === null || !(field in found))
      throw new EngineError('bad_request', `${path}: there is no ${field}.`)
    found = (found as Readonly<Record<string, unknown>>)[field]
  }
  return found
}

function isConstant(value: object): value is { readonly value: unknown } {
  return Object.keys(value).length === 1 && 'value' in value
}
