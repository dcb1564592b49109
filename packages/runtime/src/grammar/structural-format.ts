import type { GrammarSpec } from './grammar-spec.ts'

/** XGrammar's structural tags: what an answer is made of. A `json_schema` is JSON on one line, as everywhere here. */
export type StructuralFormat =
  | { readonly type: 'any_text' }
  | { readonly type: 'const_string'; readonly value: string }
  | { readonly type: 'regex'; readonly pattern: string }
  | { readonly type: 'grammar'; readonly grammar: string }
  | { readonly type: 'json_schema'; readonly json_schema: object }
  | { readonly type: 'sequence' | 'or'; readonly elements: readonly StructuralFormat[] }
  | TagFormat
  | ({ readonly type: 'triggered_tags'; readonly triggers: readonly string[] } & Tags)
  | ({ readonly type: 'tags_with_separator'; readonly separator: string } & Tags)

export interface TagFormat {
  readonly type: 'tag'
  readonly begin: string
  readonly content: StructuralFormat
  readonly end: string
}

interface Tags {
  readonly tags: readonly TagFormat[]
  readonly at_least_one: boolean
  readonly stop_after_first: boolean
}

export function structuralSpec(format: StructuralFormat): GrammarSpec {
  return { kind: 'structural-tag', text: JSON.stringify(format) }
}

/** What a grammar is within a structural tag. */
export function formatOf({ kind, text }: GrammarSpec): StructuralFormat {
  switch (kind) {
    case 'json-schema':
      return { type: 'json_schema', json_schema: JSON.parse(text) as object }
    case 'regex':
      return { type: 'regex', pattern: text }
    case 'ebnf':
      return { type: 'grammar', grammar: text }
    case 'structural-tag':
      return JSON.parse(text) as StructuralFormat
  }
}

/** The same, every JSON schema in it replaced. */
export async function replaceSchemas(
  format: StructuralFormat,
  replace: (schema: object) => Promise<StructuralFormat>,
): Promise<StructuralFormat> {
  const inner = (formats: readonly StructuralFormat[]) =>
    Promise.all(formats.map((format) => replaceSchemas(format, replace)))
  const tagOf = async (tag: TagFormat): Promise<TagFormat> => ({
    ...tag,
    content: await replaceSchemas(tag.content, replace),
  })
  switch (format.type) {
    case 'json_schema':
      return replace(format.json_schema)
    case 'tag':
      return tagOf(format)
    case 'sequence':
    case 'or':
      return { ...format, elements: await inner(format.elements) }
    case 'triggered_tags':
    case 'tags_with_separator':
      return { ...format, tags: await Promise.all(format.tags.map(tagOf)) }
    default:
      return format
  }
}
