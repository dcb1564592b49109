import { existsSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import type { InlineConfig, Plugin, UserConfig } from 'vite'
import { build, defaultClientConditions, defineConfig } from 'vite'
import { VitePWA } from 'vite-plugin-pwa'
import { PACKAGE, buildBundles } from './packages/dev/src/package/bundles.ts'
import { withoutSecondEngine } from './packages/dev/src/package/without-second-engine.ts'

const ROOT = import.meta.dirname
const SITE = join(ROOT, 'dist')
/** What `npm run docs` has made, if it has. */
const DOCS = join(ROOT, 'packages/docs/dist')

/**
 * `vite build` makes the package's bundles, and of them the demo site in `dist/`: the pages of `demo/`, which take `tabserve` as any app does, the
 * bundled models, and `tabserve.global.js` with what it fetches beside it; the documentation where it was built. `vite build --mode test` adds the page that browser tests and benchmarks drive.
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
    { name: 'tabserve-package', buildStart: buildBundles },
    { name: 'tabserve-docs', transformIndexHtml: linkToDocs },
    afterBuild('static-files', async () => {
      await cp(join(PACKAGE, 'assets'), SITE, { recursive: true })
      await cp(join(ROOT, 'demo/script-tag'), join(SITE, 'script-tag'), { recursive: true })
      const models = join(ROOT, 'models/stories')
      if (existsSync(models)) await cp(models, join(SITE, 'models/stories'), { recursive: true })
      if (existsSync(DOCS)) await cp(DOCS, join(SITE, 'docs'), { recursive: true })
    }),
    afterBuild('notebook', async () => void (await build(notebook))),
    ...(mode === 'test' ? [afterBuild('harness', async () => void (await build(harness)))] : []),
  ],
}))

/** The harness is made of the rooms' sources: onnxruntime-web without its embedded glue, as in the package. */
const shared: UserConfig = {
  base: './',
  resolve: { conditions: ['onnxruntime-web-use-extern-wasm', ...defaultClientConditions] },
  worker: { format: 'es' },
}

const output: UserConfig['build'] = {
  outDir: SITE,
  emptyOutDir: false,
  target: 'es2022',
  sourcemap: true,
  chunkSizeWarningLimit: 1000,
}

/** The package's own files keep their names, so that demos and script tags of the site share one copy. */
const names = {
  output: {
    assetFileNames: ({ names: [name = ''] }: { readonly names: readonly string[] }) =>
      /^(ort-wasm|kernels-|tabserve\.|xgrammar)/.test(name)
        ? '[name][extname]'
        : 'assets/[name]-[hash][extname]',
  },
}

const harness: InlineConfig = {
  ...shared,
  configFile: false,
  logLevel: 'warn',
  root: join(ROOT, 'packages/dev/src/harness'),
  worker: { format: 'es', plugins: () => [withoutSecondEngine] },
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
        globIgnores: ['**/ort-wasm*', '**/xgrammar*', '**/tabserve.{convert,transformers}*'],
        maximumFileSizeToCacheInBytes: 4_000_000,
        clientsClaim: true, // the first visit too is to find its files after an update
        cleanupOutdatedCaches: true,
      },
    }),
  ],
}

function pagesOf(...pages: string[]): string[] {
  return pages.map((page) => join(ROOT, 'demo', page)).filter((page) => existsSync(page))
}

function linkToDocs(html: string): string {
  return html.replace('<!-- documentation -->', existsSync(DOCS) ? '<a href="./docs/">Documentation</a>' : '')
}

function afterBuild(name: string, closeBundle: () => Promise<void>): Plugin {
  return { name: `tabserve-${name}`, apply: 'build', closeBundle }
}
