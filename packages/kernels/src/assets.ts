import plainThreads from './dist/kernels-plain-threads.wasm?url'
import plain from './dist/kernels-plain.wasm?url'
import relaxedThreads from './dist/kernels-relaxed-threads.wasm?url'
import relaxed from './dist/kernels-relaxed.wasm?url'
import type { KernelVariant } from './variant.ts'

const absolute = (url: string) => new URL(url, import.meta.url).href

/** Where the bundler put the kernels' builds, as absolute URLs: the worker has another base than the page. */
export const kernelAssets: Readonly<Record<KernelVariant, string>> = {
  plain: absolute(plain),
  relaxed: absolute(relaxed),
  'plain-threads': absolute(plainThreads),
  'relaxed-threads': absolute(relaxedThreads),
}
