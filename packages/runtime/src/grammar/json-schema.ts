import { FORMAT_PATTERNS, convertiblePattern } from './json-pattern.ts'
import { isObject, refusal } from './schema-refusal.ts'
import type { SchemaObject } from './schema-refusal.ts'

type Kind = 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null'

/** Say nothing about what is valid. */
const ANNOTATIONS = new Set([
  '$schema',
  '$comment',
  'title',
  'description',
  'default',
  'example',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
])
const GROUPS = ['$defs', 'definitions']

/** What can be held to beside each type. */
const KEYWORDS: Readonly<Record<Kind, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties', 'minProperties', 'maxProperties'],
  array: ['items', 'prefixItems', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: [],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  boolean: [],
  null: [],
}

/** Fifteen digits: what a double holds exactly, whatever they are. The converter is wrong about ranges that are open at one end. */
const LARGEST = 999_999_999_999_999
const MAX_DEPTH = 64

/**
 * A JSON schema as XGrammar's converter can hold an answer to it. The converter passes over what it does not know, and over every keyword
 * without its `type`, so that answers would break the schema in silence: here such a schema is refused with `bad_request`, which names the place.
 * What it gets wrong (formats, open ranges, patterns that match a quote) is written so that it gets it right; every answer to what this
 * returns is valid by the schema that was given.
 */
export function convertibleSchema(schema: unknown): unknown {
  return new Converter(schema).convert(schema, '#', 0)
}

class Converter {
  readonly #root: unknown

  constructor(root: unknown) {
    this.#root = root
  }

  convert(schema: unknown, path: string, depth: number): unknown {
    if (schema === true) return true
    if (depth > MAX_DEPTH) throw refusal(path, `it is nested more than ${MAX_DEPTH} deep`)
    if (!isObject(schema)) throw refusal(path, 'it is not an object')
    const groups = GROUPS.filter((group) => group in schema)
    const keys = Object.keys(schema).filter((key) => !ANNOTATIONS.has(key) && !groups.includes(key))
    return {
      ...this.#rule(schema, keys, path, depth),
      ...Object.fromEntries(
        groups.map((group) => [group, this.#each(schema[group], `${path}/${group}`, depth)]),
      ),
    }
  }

  #rule(schema: SchemaObject, keys: readonly string[], path: string, depth: number): SchemaObject {
    if (keys.length === 0) return {}
    const lone = ['$ref', 'anyOf', 'allOf'].find((key) => key in schema)
    if (lone !== undefined && keys.length > 1)
      throw refusal(path, `"${lone}" cannot be held to beside other keywords`)
    if (lone === '$ref') return { $ref: this.#reference(schema['$ref'], path) }
    if (lone === 'anyOf') return { anyOf: this.#list(schema['anyOf'], `${path}/anyOf`, depth) }
    if (lone === 'allOf') return this.#only(this.#list(schema['allOf'], `${path}/allOf`, depth), path)
    if ('enum' in schema || 'const' in schema) return valuesOf(schema, keys, path)
    return this.#typed(schema, keys, path, depth)
  }

  #typed(schema: SchemaObject, keys: readonly string[], path: string, depth: number): SchemaObject {
    const { type } = schema
    const kinds = Array.isArray(type) ? (type as unknown[]) : [type]
    if (kinds.length === 0 || !kinds.every(isKind)) {
      const found =
        type === undefined ? `${keys.join(', ')} without a "type"` : `"type" ${JSON.stringify(type)}`
      throw refusal(path, `it has ${found}; say which of ${Object.keys(KEYWORDS).join(', ')} is meant`)
    }
    const known = new Set(['type', ...kinds.flatMap((kind) => KEYWORDS[kind])])
    for (const key of keys) if (!known.has(key)) throw refusal(path, `"${key}" cannot be held to here`)
    return {
      type,
      ...(kinds.includes('string') ? stringOf(schema, path) : {}),
      ...(kinds.includes('integer') ? rangeOf(schema, path) : {}),
      ...(kinds.includes('object') ? this.#objectOf(schema, path, depth) : {}),
      ...(kinds.includes('array') ? this.#arrayOf(schema, path, depth) : {}),
    }
  }

  #objectOf(schema: SchemaObject, path: string, depth: number): SchemaObject {
    const { properties, additionalProperties: more, required = [] } = schema
    if (!Array.isArray(required) || !required.every((name) => typeof name === 'string'))
      throw refusal(path, '"required" is not a list of names')
    const known = isObject(properties) ? properties : {}
    const missing = required.find((name: string) => !Object.hasOwn(known, name)) as string | undefined
    if (missing !== undefined)
      throw refusal(path, `"required" names ${JSON.stringify(missing)}, which is not in "properties"`)
    const escaped = Object.keys(known).find((name) => JSON.stringify(name) !== `"${name}"`)
    if (escaped !== undefined)
      throw refusal(path, `the property ${JSON.stringify(escaped)} has letters that JSON must escape`)
    return {
      ...(properties === undefined
        ? {}
        : { properties: this.#each(properties, `${path}/properties`, depth) }),
      ...(required.length === 0 ? {} : { required }),
      ...countsOf(schema, ['minProperties', 'maxProperties'], path),
      // The converter would take none at all.
      ...this.#optional(
        more ?? (properties === undefined ? true : undefined),
        'additionalProperties',
        path,
        depth,
      ),
    }
  }

  #arrayOf(schema: SchemaObject, path: string, depth: number): SchemaObject {
    const { items, prefixItems } = schema
    return {
      // Without them the converter cannot count.
      ...this.#optional(items ?? true, 'items', path, depth),
      ...(prefixItems === undefined
        ? {}
        : { prefixItems: this.#list(prefixItems, `${path}/prefixItems`, depth) }),
      ...countsOf(schema, ['minItems', 'maxItems'], path),
    }
  }

  /** A schema that may be `false`: nothing more. */
  #optional(schema: unknown, key: string, path: string, depth: number): SchemaObject {
    if (schema === undefined) return {}
    return { [key]: schema === false ? false : this.convert(schema, `${path}/${key}`, depth + 1) }
  }

  /** What is pointed at is converted where it stands; from these places everything is reached. */
  #reference(reference: unknown, path: string): unknown {
    if (typeof reference !== 'string' || !/^#(\/(\$defs|definitions|properties)\/[^/~%]+)*$/.test(reference))
      throw refusal(
        path,
        `"$ref" ${JSON.stringify(reference)} does not point at a part of this schema (#, #/$defs/… or #/properties/…)`,
      )
    let found: unknown = this.#root
    for (const step of reference.split('/').slice(1))
      found = isObject(found) && Object.hasOwn(found, step) ? found[step] : undefined
    if (found !== true && !isObject(found)) throw refusal(path, `"$ref" ${reference} points at nothing`)
    return reference
  }

  #only(parts: readonly unknown[], path: string): SchemaObject {
    const [part] = parts
    if (parts.length > 1) throw refusal(path, '"allOf" cannot be held to, but for one schema')
    return isObject(part) ? part : {}
  }

  #list(schemas: unknown, path: string, depth: number): unknown[] {
    if (!Array.isArray(schemas) || schemas.length === 0) throw refusal(path, 'it is not a list of schemas')
    return schemas.map((schema, index) => this.convert(schema, `${path}/${index}`, depth + 1))
  }

  #each(schemas: unknown, path: string, depth: number): SchemaObject {
    if (!isObject(schemas)) throw refusal(path, 'it is not an object')
    return Object.fromEntries(
      Object.entries(schemas).map(([name, schema]) => [
        name,
        this.convert(schema, `${path}/${name}`, depth + 1),
      ]),
    )
  }
}

function valuesOf(schema: SchemaObject, keys: readonly string[], path: string): SchemaObject {
  const other = keys.find((key) => !['enum', 'const', 'type'].includes(key))
  if (other !== undefined) throw refusal(path, `"${other}" cannot be held to beside "enum" or "const"`)
  if ('enum' in schema && 'const' in schema) throw refusal(path, '"enum" and "const" exclude each other')
  const values: unknown = 'enum' in schema ? schema['enum'] : [schema['const']]
  if (!Array.isArray(values) || values.length === 0) throw refusal(path, '"enum" is not a list of values')
  const { type } = schema
  const kinds: unknown[] = Array.isArray(type) ? type : [type]
  const isMeant = (value: unknown) => type === undefined || kinds.some((kind) => isOfKind(value, kind))
  const meant = values.filter(isMeant)
  if (meant.length === 0) throw refusal(path, 'no value is of its "type"')
  return { enum: meant }
}

function stringOf(schema: SchemaObject, path: string): SchemaObject {
  const { pattern, format } = schema
  const lengths = countsOf(schema, ['minLength', 'maxLength'], path)
  const rules = [Object.keys(lengths).length > 0, pattern !== undefined, format !== undefined]
  if (rules.filter(Boolean).length > 1)
    throw refusal(path, 'of lengths, "pattern" and "format" only one can be held to')
  if (pattern !== undefined) return { pattern: convertiblePattern(pattern, path) }
  if (format === undefined) return lengths
  const known = typeof format === 'string' ? FORMAT_PATTERNS.get(format) : undefined
  if (known !== undefined) return { pattern: known }
  const names = [...FORMAT_PATTERNS.keys()].join(', ')
  throw refusal(path, `"format" ${JSON.stringify(format)} is not one of ${names}`)
}

function rangeOf(schema: SchemaObject, path: string): SchemaObject {
  const bounds = KEYWORDS.integer.filter((bound) => schema[bound] !== undefined)
  if (bounds.length === 0) return {}
  for (const bound of bounds) {
    const value = schema[bound]
    if (!Number.isInteger(value) || Math.abs(value as number) > LARGEST)
      throw refusal(path, `"${bound}" ${JSON.stringify(value)} is not a whole number of at most 15 digits`)
  }
  const of = (bound: string, shift: number, standard: number) =>
    schema[bound] === undefined ? standard : (schema[bound] as number) + shift
  const minimum = Math.max(of('minimum', 0, -LARGEST), of('exclusiveMinimum', 1, -LARGEST))
  const maximum = Math.min(of('maximum', 0, LARGEST), of('exclusiveMaximum', -1, LARGEST))
  if (minimum > maximum) throw refusal(path, 'no number is in its range')
  return { minimum, maximum }
}

function countsOf(schema: SchemaObject, names: readonly [string, string], path: string): SchemaObject {
  const [min = 0, max = Infinity] = names.map((name) => {
    const value = schema[name]
    if (value !== undefined && !(Number.isSafeInteger(value) && (value as number) >= 0))
      throw refusal(path, `"${name}" ${JSON.stringify(value)} is not a whole number of at least 0`)
    return value as number | undefined
  })
  if (min > max) throw refusal(path, `"${names[0]}" is larger than "${names[1]}"`)
  return Object.fromEntries(
    names.filter((name) => schema[name] !== undefined).map((name) => [name, schema[name]]),
  )
}

function isOfKind(value: unknown, kind: unknown): boolean {
  if (kind === 'null') return value === null
  if (kind === 'array') return Array.isArray(value)
  if (kind === 'integer') return Number.isInteger(value)
  if (kind === 'object') return isObject(value)
  return typeof value === kind
}

function isKind(kind: unknown): kind is Kind {
  return typeof kind === 'string' && Object.hasOwn(KEYWORDS, kind)
}
