import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { importProblems, sourceFiles } from '../../packages/dev/src/import-directions.ts'

test('imports go one way, and third-party packages come in through their doors', () => {
  const files = sourceFiles(join(import.meta.dirname, '../..'))
  expect(files.length).toBeGreaterThan(40)
  expect(importProblems(files)).toEqual([])
})

test('an import against the direction is found and named', () => {
  const bad = [
    { path: 'packages/client/src/a.ts', text: "import { Engine } from '@tabserve/runtime'" },
    { path: 'packages/engine/src/b.ts', text: "export type { X } from '../../client/src/client.ts'" },
    { path: 'packages/worker/src/c.ts', text: "const ort = await import('onnxruntime-web/wasm')" },
    { path: 'packages/protocol/src/d.ts', text: "import {\n  readFile,\n} from 'node:fs/promises'" },
    { path: 'packages/convert/src/browser/e.ts', text: "import { readFileSync } from 'node:fs'" },
    { path: 'packages/worker/src/f.ts', text: "import { convertPicked } from '@tabserve/convert/browser'" },
    { path: 'demo/chat/g.ts', text: "import { Client } from '@tabserve/client'" },
  ]
  const good = [
    { path: 'packages/convert/src/converter.ts', text: "export { e } from './browser/e.ts'" },
    { path: 'packages/convert/src/cli.ts', text: "import { readFile } from 'node:fs/promises'" },
    { path: 'packages/worker/src/h.ts', text: "const { e } = await import('@tabserve/convert/browser')" },
    { path: 'packages/worker/src/i.ts', text: "import type { E } from '@tabserve/convert/browser'" },
  ]
  const problems = importProblems([...good, ...bad])
  expect(problems).toHaveLength(bad.length)
  expect(problems[0]).toBe(
    'packages/client/src/a.ts: imports @tabserve/runtime; client may import only protocol, engine',
  )
})
