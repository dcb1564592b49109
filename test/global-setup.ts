import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { convertLlama2c } from '../packages/convert/src/index.ts'

const ROOT = join(import.meta.dirname, '..')
const CHECKPOINTS = join(ROOT, '../shared/models/llama2c')

/** Converts the checkpoints of `../shared`, where they are, into `dist/fixtures/`, which the test server serves. */
export default async function setUp(): Promise<void> {
  if (!existsSync(CHECKPOINTS)) return
  const fixtures = join(ROOT, 'dist/fixtures')
  await rm(fixtures, { recursive: true, force: true })
  for (const weights of ['fp32', 'int8', 'q4'] as const) {
    await convertLlama2c({
      checkpoint: join(CHECKPOINTS, 'stories260K.bin'),
      tokenizer: join(CHECKPOINTS, 'tok512.bin'),
      out: join(fixtures, `stories260K-${weights}`),
      name: `stories260K-${weights}`,
      version: '1',
      weights,
    })
  }
}
