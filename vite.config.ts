import { existsSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import type { InlineConfig, Plugin, UserConfig } from 'vite'
import { build, defaultClientConditions, defineConfig } from 'vite'
import { VitePWA } from 'vite-plugin-pwa'
import { buildKernels } from './packages/kernels/build.ts'

const ROOT = import.meta.dirname
const SITE = join(ROOT, 'dist')

/**
 * `vite build` makes the demo site in `dist/`: the pages of `demo/`, the bundled models, and `tabserve.global.js` with its
 * worker and onnxruntime's files beside it. `vite build --mode test` adds the page that browser tests and benchmarks drive.
 */
export default defineConfig(({ mode }): UserConfig => ({
  ...shared,
  root: join(ROOT, 'demo'),
  build: {
    ...output,
    emptyOutDir: true,
    rollupOptions: {
      ...names,
      input: pagesOf(
        'index.html',
        'chat/index.html',
        'crowd/index.html',
        'dashboard/index.html',
        'bench/index.html',
        'bench/peer.html',
      ),
    },
  },
  plugins: [
    withoutSecondEngine,
    { name: 'tabserve-kernels', buildStart: buildKernels },
    afterBuild('static-files', async () => {
      await cp(join(ROOT, 'demo/script-tag'), join(SITE, 'script-tag'), { recursive: true })
      const models = join(ROOT, 'models/stories')
      if (existsSync(models)) await cp(models, join(SITE, 'models/stories'), { recursive: true })
    }),
    afterBuild('script-tag', async () => {
      await build(library('tabserve/src/global.ts', 'iife', 'tabserve.global.js'))
      await build(library('tabserve/src/worker-file.ts', 'es', 'tabserve.worker.js'))
      await build(library('tabserve/src/broker.ts', 'es', 'tabserve.broker.js'))
      await build(library('convert/src/converter.ts', 'es', CONVERTER))
      await build(library('tabserve/src/service-worker-file.ts', 'es', 'tabserve.service-worker.js'))
    }),
    afterBuild('notebook', async () => void (await build(notebook))),
    ...(mode === 'test' ? [afterBuild('harness', async () => void (await build(harness)))] : []),
  ],
}))

/** transformers.js computes on our onnxruntime, which it finds on its own: the one that it imports is never fetched. */
const withoutSecondEngine: Plugin = {
  name: 'tabserve-without-second-engine',
  enforce: 'pre',
  resolveId: (id, importer) =>
    id.startsWith('onnxruntime-web') && importer?.includes('/@huggingface/transformers/') === true
      ? '\0no-onnxruntime'
      : undefined,
  load: (id) => (id === '\0no-onnxruntime' ? 'export {}' : undefined),
}

/** onnxruntime-web without its embedded glue: pthreads then load its own small `.mjs`, never our worker. */
const shared: UserConfig = {
  base: './',
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
  worker: { format: 'es', plugins: () => [withoutSecondEngine] },
}

const output: UserConfig['build'] = {
  outDir: SITE,
  emptyOutDir: false,
  target: 'es2022',
  sourcemap: true,
  chunkSizeWarningLimit: 1000,
}

/** onnxruntime's files, the kernels and XGrammar keep one name, so that every bundle of the site shares one copy. */
const names = {
  output: {
    assetFileNames: ({ names: [name = ''], originalFileNames: [file = ''] }: Asset) => {
      if (file.includes('web-xgrammar/')) return 'xgrammar.js'
      return /^(ort-wasm|kernels-)/.test(name) ? '[name][extname]' : 'assets/[name]-[hash][extname]'
    },
  },
}

interface Asset {
  readonly names: readonly string[]
  readonly originalFileNames: readonly string[]
}
/** Beside the script tag's worker, which fetches it by this name only when something is to be converted. */
const CONVERTER = 'tabserve.convert.js'

const harness: InlineConfig = {
  ...shared,
  configFile: false,
  logLevel: 'warn',
  root: join(ROOT, 'packages/dev/src/harness'),
  build: {
    ...output,
    outDir: join(SITE, 'harness'),
    chunkSizeWarningLimit: 3000, // other people's SDKs
    rollupOptions: {
      input: ['index.html', 'doors.html'].map((page) => join(ROOT, 'packages/dev/src/harness', page)),
    },
  },
}

/** The demo that is installed: with files of its own, so that its service worker rules over its worker too, and over nothing else. */
const notebook: InlineConfig = {
  ...shared,
  configFile: false,
  logLevel: 'warn',
  root: join(ROOT, 'demo/pwa'),
  build: { ...output, outDir: join(SITE, 'pwa'), rollupOptions: names },
  plugins: [
    ...VitePWA({
      registerType: 'prompt',
      injectRegister: false, // demo/pwa/update.ts does it
      manifest: {
        name: 'tabserve notebook',
        short_name: 'Notebook',
        description: 'Stories written by a language model on this device, with or without a network.',
        display: 'standalone',
        background_color: '#f5f2ea',
        theme_color: '#0a5c5d',
        icons: [192, 512].map((size) => ({
          src: `icon-${size}.png`,
          sizes: `${size}x${size}`,
          type: 'image/png',
          purpose: 'any maskable' as 'any',
        })),
      },
      workbox: {
        cacheId: 'tabserve-notebook',
        // The page, its worker and the kernels. What only other models need comes when it is needed.
        globPatterns: ['**/*.{html,js,css,svg,png,webmanifest}', '**/kernels-*.wasm'],
        globIgnores: ['**/ort-wasm*', '**/xgrammar*', '**/convert*'],
        maximumFileSizeToCacheInBytes: 4_000_000,
        clientsClaim: true, // the first visit too is to find its files after an update
        cleanupOutdatedCaches: true,
      },
    }),
  ],
}

function library(entry: string, format: 'iife' | 'es', fileName: string): InlineConfig {
  return {
    ...shared,
    configFile: false,
    logLevel: 'warn',
    plugins: [withoutSecondEngine],
    build: {
      ...output,
      copyPublicDir: false,
      lib: {
        entry: join(ROOT, 'packages', entry),
        formats: [format],
        name: 'tabserve',
        fileName: () => fileName,
      },
      // Complete in itself: what it shared with the worker would be another copy under an address with a query.
      rollupOptions: {
        external: ['@tabserve/convert/browser'],
        output: { paths: { '@tabserve/convert/browser': `./${CONVERTER}` } },
      },
    },
  }
}

function pagesOf(...pages: string[]): string[] {
  return pages.map((page) => join(ROOT, 'demo', page)).filter((page) => existsSync(page))
}

function afterBuild(name: string, closeBundle: () => Promise<void>): Plugin {
  return { name: `tabserve-${name}`, apply: 'build', closeBundle }
}
