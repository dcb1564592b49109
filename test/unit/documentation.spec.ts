import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import type { CodeBlock } from '../documentation/code-blocks.ts'
import { ROOT, codeBlocks, pages } from '../documentation/code-blocks.ts'
import { brokenLinks } from '../documentation/links.ts'

test('every code block of README and guides is right by the compiler', () => {
  const blocks = [...pages()].flatMap(([page, text]) => codeBlocks(page, text))
  expect(blocks.length).toBeGreaterThan(40)
  const checked = blocks.filter(({ note = '' }) => !/^not checked: .{10}/.test(note))
  expect(checked.length).toBeGreaterThan(0.9 * blocks.length)
  expect(problemsOf(checked)).toEqual([])
})

test('a code block with an option or a name that there is not is found', () => {
  const wrong = [
    "await client.load('/models/stories/', { maxRuning: 4 })",
    "import { createServer } from 'tabserve'",
    'client.generate({ model: 3, prompt })',
  ]
  const blocks = wrong.map((code, line) => ({ page: 'a.md', line, code, note: undefined }))
  const problems = problemsOf(blocks)
  expect(problems).toHaveLength(wrong.length)
  expect(problems[0]).toContain('a.md')
})

test('links in README and guides lead to files and headings that there are', () => {
  const all = pages()
  expect([...all.keys()].flatMap((page) => brokenLinks(page, all))).toEqual([])
})

test('a link to no file or no heading is found', () => {
  const all = new Map([['README.md', '# A title\n[a](#a-title) [b](#b) [c](c.md) [d](LICENSE) `[e](e.md)`']])
  expect(brokenLinks('README.md', all)).toEqual([
    'README.md: README.md has no heading b',
    'README.md: there is no c.md',
  ])
})

/** What the compiler says of these blocks, each a module of its own, against the packages of this workspace. */
function problemsOf(blocks: readonly CodeBlock[]): string[] {
  const folder = mkdtempSync(join(tmpdir(), 'tabserve-documentation-'))
  try {
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'), 'junction')
    for (const [index, { code, note }] of blocks.entries())
      writeFileSync(join(folder, `block-${index}.ts`), `${prefixOf(note, code)}${code}\nexport {}\n`)
    writeFileSync(join(folder, 'tsconfig.json'), JSON.stringify(configOf()))
    const tsc = join(ROOT, 'node_modules/typescript/bin/tsc')
    const { stdout, stderr } = spawnSync(process.execPath, [tsc, '-p', folder, '--pretty', 'false'], {
      encoding: 'utf8',
      cwd: folder,
    })
    const lines = `${stdout}${stderr}`.split('\n').filter((line) => /^\S/.test(line))
    return lines.map((line) =>
      line.replace(/^block-(\d+)\.ts\((\d+)/, (_, index, at) => {
        const { page, line: first } = blocks[Number(index)] as CodeBlock
        return `${page}:${first + Number(at) - 1} (${at}`
      }),
    )
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** On one line with the code's first, so that line numbers are right. TypeScript takes `self` and `prompt` for a page's. */
function prefixOf(note: string | undefined, code: string): string {
  const scope =
    note === 'in a service worker'
      ? "declare const self: import('tabserve/service-worker').WorkerScope; "
      : ''
  return scope + (/\bconst prompt\b/.test(code) ? '' : 'declare const prompt: string; ')
}

function configOf(): object {
  return {
    extends: join(ROOT, 'tsconfig.json'),
    compilerOptions: { noUnusedLocals: false, noUnusedParameters: false, rootDir: '/' },
    include: ['block-*.ts', join(ROOT, 'test/documentation/surroundings.ts')],
  }
}
