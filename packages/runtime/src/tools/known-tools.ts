import type { ToolDefinition } from '@tabserve/protocol'
import { parsed } from './json-reading.ts'

/** The tools of a request, for who reads calls of them. */
export class KnownTools {
  readonly #tools: ReadonlyMap<string, ToolDefinition>

  constructor(tools: readonly ToolDefinition[]) {
    this.#tools = new Map(tools.map((tool) => [tool.name, tool]))
  }

  has(name: string): boolean {
    return this.#tools.has(name)
  }

  /** An argument that a model wrote without quotes, as JSON: what the tool's schema says it is, else text. */
  typed(tool: string, argument: string, text: string): string {
    const types = this.#typesOf(tool, argument)
    if (types.length === 0 || (types.length === 1 && types[0] === 'string')) return JSON.stringify(text)
    const literal = text.trim()
    const word = /^(True|False|None)$/.test(literal) ? literal.toLowerCase().replace('none', 'null') : literal
    const value = parsed(word)
    return value === undefined || (types.includes('string') && typeof value !== 'object')
      ? JSON.stringify(text)
      : word
  }

  #typesOf(tool: string, argument: string): string[] {
    const { properties } = (this.#tools.get(tool)?.parameters ?? {}) as { properties?: unknown }
    if (typeof properties !== 'object' || properties === null || !Object.hasOwn(properties, argument))
      return []
    return typesOf((properties as Readonly<Record<string, unknown>>)[argument])
  }
}

/** Types that a schema allows; none: any. */
function typesOf(schema: unknown): string[] {
  if (typeof schema !== 'object' || schema === null) return []
  const { type, anyOf, oneOf, enum: values } = schema as Readonly<Record<string, unknown>>
  if (type !== undefined) return [type].flat().map(String)
  if (Array.isArray(values))
    return values.map((value) =>
      Number.isInteger(value) ? 'integer' : value === null ? 'null' : typeof value,
    )
  return [anyOf, oneOf].flatMap((schemas) => (Array.isArray(schemas) ? schemas.flatMap(typesOf) : []))
}
