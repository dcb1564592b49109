import { existsSync } from 'node:fs'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import asc from 'assemblyscript/asc'
import type { KernelVariant } from './src/variant.ts'
import { KERNEL_VARIANTS } from './src/variant.ts'

const SOURCES = join(import.meta.dirname, 'assembly')
const OUT = join(import.meta.dirname, 'src/dist')
const STAMP = join(OUT, 'sources.sha256')

/** 4 GiB: what a 32-bit address reaches. A memory is made as large as its model needs. */
const MAX_PAGES = 65536

/** Compiles `assembly/` into `src/dist/kernels-*.wasm`, unless what is there was made of these very sources. */
export async function buildKernels(): Promise<void> {
  const hash = await hashSources()
  if (existsSync(STAMP) && (await readFile(STAMP, 'utf8')) === hash) return
  await mkdir(OUT, { recursive: true })
  for (const variant of KERNEL_VARIANTS) await compile(variant)
  await writeFile(STAMP, hash)
}

async function compile(variant: KernelVariant): Promise<void> {
  const out = join(OUT, `kernels-${variant}.wasm`)
  const flags = ['-O3', '--converge', '--runtime', 'stub', '--noAssert', '--enable', 'simd']
  const memory = ['--importMemory', '--initialMemory', '1', '--maximumMemory', String(MAX_PAGES)]
  const relaxed = variant.startsWith('relaxed') ? ['--enable', 'relaxed-simd'] : []
  const threads = variant.endsWith('threads') ? ['--enable', 'threads', '--sharedMemory'] : []
  const entry = join(SOURCES, 'index.ts')
  const { error, stderr } = await asc.main([entry, '-o', out, ...flags, ...memory, ...relaxed, ...threads])
  if (error !== null) throw new Error(`The kernels do not compile (${variant}):\n${stderr.toString()}`)
}

async function hashSources(): Promise<string> {
  const hash = createHash('sha256').update(await readFile(import.meta.filename))
  for (const file of (await readdir(SOURCES)).sort())
    hash.update(file).update(await readFile(join(SOURCES, file)))
  return hash.digest('hex')
}
