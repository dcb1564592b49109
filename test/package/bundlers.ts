import { cp } from 'node:fs/promises'
import { promisify } from 'node:util'
import { build as esbuild } from 'esbuild'
import { build as vite } from 'vite'
import webpack from 'webpack'
import { APP, pageWith } from './consumer.ts'
import type { Consumer } from './consumer.ts'

/** Builds the app with a bundler as it comes, into a folder of the consumer, whose name is returned. */
export type Bundler = (consumer: Consumer) => Promise<string>

export const BUNDLERS: Readonly<Record<string, Bundler>> = {
  async Vite(consumer) {
    await consumer.write('vite/main.js', APP)
    await consumer.write('vite/index.html', pageWith('./main.js'))
    await vite({ root: consumer.path('vite'), configFile: false, logLevel: 'warn' })
    return 'vite/dist'
  },

  async webpack(consumer) {
    await consumer.write('webpack/main.js', APP)
    const compiler = webpack({
      mode: 'production',
      context: consumer.path('webpack'),
      entry: './main.js',
      output: { path: consumer.path('webpack/dist') },
      performance: false,
      // It minifies what it copies, XGrammar's megabyte too, for half a minute.
      optimization: { minimize: false },
    })
    const stats = await promisify(compiler.run.bind(compiler))()
    await promisify(compiler.close.bind(compiler))()
    const problems = stats?.toJson({ errors: true, warnings: true })
    const messages = [...(problems?.errors ?? []), ...(problems?.warnings ?? [])].map(
      ({ message }) => message,
    )
    if (messages.length > 0) throw new Error(messages.join('\n'))
    await consumer.write('webpack/dist/index.html', pageWith('main.js', 'classic'))
    return 'webpack/dist'
  },

  /** esbuild and Rollup know nothing of files beside a module: the one line of the README copies them. */
  async 'esbuild with one copied folder'(consumer) {
    await consumer.write('esbuild/main.js', APP)
    await esbuild({
      entryPoints: [consumer.path('esbuild/main.js')],
      bundle: true,
      format: 'esm',
      outfile: consumer.path('esbuild/dist/main.js'),
    })
    await cp(consumer.installed('assets'), consumer.path('esbuild/dist/assets'), { recursive: true })
    await consumer.write('esbuild/dist/index.html', pageWith('main.js'))
    return 'esbuild/dist'
  },
}
