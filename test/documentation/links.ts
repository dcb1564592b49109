import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { ROOT } from './code-blocks.ts'

/** The links of a page to files and headings of this repository that lead nowhere, one sentence each. */
export function brokenLinks(page: string, all: ReadonlyMap<string, string>): string[] {
  const text = withoutCode(all.get(page) ?? '')
  const targets = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .flatMap((target) => {
      const [path = '', heading] = target.split('#')
      const file = path === '' ? page : join(dirname(page), path).replaceAll('\\', '/')
      if (!existsSync(join(ROOT, file))) return [`${page}: there is no ${target}`]
      const there = all.get(file)
      if (heading === undefined || (there !== undefined && headings(there).has(heading))) return []
      return [`${page}: ${file} has no heading ${heading}`]
    })
}

/** The names by which GitHub and TypeDoc link to headings. */
function headings(text: string): ReadonlySet<string> {
  const titles = [...withoutCode(text).matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title)
  return new Set(
    titles.map((title) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
}

function withoutCode(text: string): string {
  return text.replace(/^```.*?^```$/gms, '').replace(/`[^`\n]+`/g, (code) => code.replaceAll(/[[\]()]/g, ''))
}
