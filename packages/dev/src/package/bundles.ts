import { cp, mkdir, rm } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { InputOptions, OutputOptions, Plugin } from 'rolldown'
import { rolldown } from 'rolldown'
import { buildKernels } from '../../../kernels/build.ts'
import { KERNEL_VARIANTS } from '../../../kernels/src/variant.ts'
import { withoutSecondEngine } from './without-second-engine.ts'
import { CARRIED, DOORS, EXTRAS, FETCHED } from '../../../tabserve/entries.ts'

const PACKAGES = join(import.meta.dirname, '../../..')
const SOURCES = join(PACKAGES, 'tabserve/src')

/** Where the published package is made. */
export const PACKAGE = join(PACKAGES, 'tabserve/dist')
const ASSETS = join(PACKAGE, 'assets')

/** Makes everything of the package that a browser runs, in `packages/tabserve/dist/`. */
export async function buildBundles(): Promise<void> {
  await rm(PACKAGE, { recursive: true, force: true })
  await mkdir(ASSETS, { recursive: true })
  await buildKernels()
  await Promise.all([
    bundleDoors(),
    ...FETCHED.map(({ source, file, format }) => bundleWhole(join(SOURCES, source), file, format)),
    ...Object.entries(EXTRAS).map(([source, file]) => bundleWhole(join(PACKAGES, source), file, 'es')),
    copyCarried(),
  ])
}

/** Not minified: bundlers do that, and people read it. */
async function bundleDoors(): Promise<void> {
  const input = Object.fromEntries(DOORS.map((door) => [door, join(SOURCES, `${door}.ts`)]))
  await write(
    { input },
    { dir: PACKAGE, format: 'es', entryFileNames: '[name].js', chunkFileNames: '[name]-[hash].js' },
  )
}

/** `import()` within it too, for a file that is fetched by its address has no neighbours that a bundler would bring along. */
export async function bundleWhole(input: string, file: string, format: 'es' | 'iife'): Promise<void> {
  await write(
    { input },
    { file: join(ASSETS, file), format, name: 'tabserve', codeSplitting: false, minify: true },
  )
}

async function write(input: InputOptions, output: OutputOptions): Promise<void> {
  const bundle = await rolldown({
    ...input,
    platform: 'browser',
    // onnxruntime-web without its embedded glue: pthreads then load its own small `.mjs`, never our worker.
    resolve: { conditionNames: ['onnxruntime-web-use-extern-wasm', 'browser', 'import', 'default'] },
    transform: { target: 'es2022' },
    // Peers of the package: whoever imports the door has them.
    external: ['@opentelemetry/api'],
    plugins: [ortAddress, withoutSecondEngine],
  })
  try {
    await bundle.write({ sourcemap: true, ...output })
  } finally {
    await bundle.close()
  }
}

/** onnxruntime-web looks for itself at an address that bundlers would resolve; it is told where its files are instead. */
const ortAddress: Plugin = {
  name: 'tabserve-ort-address',
  transform: {
    filter: { id: /onnxruntime-web[\\/]dist[\\/].*\.mjs$/ },
    handler: (code) => ({
      code: code.replace(/new \w+\("ort\.[\w.]+\.mjs",import\.meta\.url\)/, 'new URL(import.meta.url)'),
      map: null,
    }),
  },
}

async function copyCarried(): Promise<void> {
  const resolve = createRequire(join(PACKAGES, 'runtime/package.json')).resolve
  for (const [specifier, file] of Object.entries(CARRIED)) await cp(resolve(specifier), join(ASSETS, file))
  for (const variant of KERNEL_VARIANTS)
    await cp(
      join(PACKAGES, `kernels/src/dist/kernels-${variant}.wasm`),
      join(ASSETS, `kernels-${variant}.wasm`),
    )
}
