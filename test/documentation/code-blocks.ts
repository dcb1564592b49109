import { readFileSync, readdirSync } from 'node:fs'
import { join, relative } from 'node:path'

export const ROOT = join(import.meta.dirname, '../..')
const GUIDES = join(ROOT, 'packages/docs/guides')

/** A fenced block of TypeScript or JavaScript in a page. */
export interface CodeBlock {
  /** From the root of the repository. */
  readonly page: string
  /** Of its first line of code, from 1. */
  readonly line: number
  readonly code: string
  /** What the comment in front says: `in a service worker`, or why it is not checked. */
  readonly note: string | undefined
}

/** README and guides: their addresses from the root, and their texts. */
export function pages(): ReadonlyMap<string, string> {
  const guides = readdirSync(GUIDES).map((name) => join(GUIDES, name))
  const all = [
    ...['README.md', 'ARCHITECTURE.md', 'CONTRIBUTING.md', 'SECURITY.md'].map((name) => join(ROOT, name)),
    ...guides,
  ]
  return new Map(all.map((path) => [relative(ROOT, path).replaceAll('\\', '/'), readFileSync(path, 'utf8')]))
}

/** `<!-- not checked: reason -->` or `<!-- in a service worker -->` may stand on the line before a block. */
export function codeBlocks(page: string, text: string): CodeBlock[] {
  const found = text.matchAll(/^(?:<!-- (?<note>[^\n]+?) -->\n\n?)?```(?:ts|js)\n(?<code>.*?)^```$/gms)
  return [...found].map(({ index, 0: whole, groups = {} }) => {
    const { code = '', note } = groups
    const before = text.slice(0, index + whole.indexOf(code, whole.indexOf('```')))
    return { page, line: before.split('\n').length, code, note }
  })
}
