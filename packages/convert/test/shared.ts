import { existsSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../../../../shared')

export const SHARED_ABSENT = `${ROOT} is absent: this test compares with real models that are not part of the repository`

export function hasShared(): boolean {
  return existsSync(join(ROOT, 'models/llama2c/stories260K.bin'))
}

/** A file beside the repository, for tests that are skipped where it is absent. */
export function shared(path: string): string {
  return join(ROOT, path)
}
