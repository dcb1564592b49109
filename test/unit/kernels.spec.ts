import { readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { KERNEL_CHECKS, Workspace } from '../conformance/kernels/index.ts'
import { expect, test } from 'playwright/test'
import { KERNEL_VARIANTS } from '../../packages/kernels/src/variant.ts'

const DIST = join(import.meta.dirname, '../../packages/kernels/src/dist')

// Node 20 has relaxed SIMD behind a flag; browsers have it on.
setFlagsFromString('--experimental-wasm-relaxed-simd')

for (const variant of ['plain', 'relaxed'] as const) {
  for (const [name, check] of Object.entries(KERNEL_CHECKS)) {
    test(`${variant}: ${name}`, async () => {
      const wasm = await readFile(join(DIST, `kernels-${variant}.wasm`))
      check(await Workspace.create(wasm, false))
    })
  }
}

test('no build of the kernels weighs more than 100 kB', async () => {
  for (const variant of KERNEL_VARIANTS)
    expect((await stat(join(DIST, `kernels-${variant}.wasm`))).size).toBeLessThan(100_000)
})
