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
    { path: 'demo/chat/e.ts', text: "import { Client } from '@tabserve/client'" },
  ]
  const problems = importProblems(bad)
  expect(problems).toHaveLength(bad.length)
  expect(problems[0]).toBe(
    'packages/client/src/a.ts: imports @tabserve/runtime; client may import only protocol, engine',
  )
})
