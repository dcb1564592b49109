import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import type { Plugin } from 'rolldown'
import { rolldown } from 'rolldown'
import { PACKAGE, bundleWhole } from './bundles.ts'

const SOURCES = join(import.meta.dirname, '../../../cli/src')

/** `npx tabserve`, whole but for Playwright, and the page that its benchmark opens. */
export async function bundleCli(): Promise<void> {
  const bundle = await rolldown({
    input: join(SOURCES, 'main.ts'),
    platform: 'node',
    external: ['playwright'],
    transform: { target: 'node20' },
    plugins: [ortInAssets],
  })
  try {
    await bundle.write({
      file: join(PACKAGE, 'cli/tabserve.js'),
      format: 'es',
      banner: '#!/usr/bin/env node',
      codeSplitting: false,
      sourcemap: true,
    })
  } finally {
    await bundle.close()
  }
  await bundleWhole(join(SOURCES, 'bench/page.ts'), '../cli/bench.js', 'iife')
  await cp(join(SOURCES, 'bench/bench.html'), join(PACKAGE, 'cli/bench.html'))
}

/** `convert --text` computes in Node: onnxruntime's wasm lies among the package's assets. */
const ortInAssets: Plugin = {
  name: 'tabserve-ort-in-assets',
  transform: {
    filter: { id: /onnxruntime-web[\\/]dist[\\/]ort\.wasm.*\.mjs$/ },
    handler: (code) => ({
      code: code.replaceAll('"ort-wasm-simd-threaded.wasm"', '"../assets/ort-wasm-simd-threaded.wasm"'),
      map: null,
    }),
  },
}
