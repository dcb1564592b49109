import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { brotliCompress, constants, gzip } from 'node:zlib'
import { build } from 'esbuild'

/** Bytes of a file: as it is, and as servers send it. */
export interface Size {
  readonly name: string
  readonly raw: number
  readonly gzip: number
  readonly brotli: number
}

/** Above this brotli's best quality takes minutes; servers do not use it there either. */
const LARGE = 4e6

/** What a page fetches of the package, and what its bundle grows by. */
export async function packageSizes(folder: string): Promise<Size[]> {
  const assets = (await readdir(join(folder, 'assets'))).filter((name) => !name.endsWith('.map')).sort()
  return Promise.all([
    sizeOf("page bundle (import { createClient } from 'tabserve')", await bundled(folder)),
    ...assets.map(async (name) => sizeOf(name, await readFile(join(folder, 'assets', name)))),
  ])
}

/** A package's file as a page gets it. */
export async function sizeOf(name: string, bytes: Uint8Array): Promise<Size> {
  const quality = bytes.length > LARGE ? 5 : 11
  const [zipped, brotlied] = await Promise.all([
    promisify(gzip)(bytes, { level: 9 }),
    promisify(brotliCompress)(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: quality } }),
  ])
  return { name, raw: bytes.length, gzip: zipped.length, brotli: brotlied.length }
}

export function sizesText(sizes: readonly Size[]): string {
  const kilobytes = (bytes: number) => (bytes / 1000).toFixed(1).padStart(9)
  const width = Math.max(...sizes.map(({ name }) => name.length))
  return [
    `${'kB'.padEnd(width)}       raw     gzip   brotli`,
    ...sizes.map(
      ({ name, raw, gzip, brotli }) =>
        name.padEnd(width) + kilobytes(raw) + kilobytes(gzip) + kilobytes(brotli),
    ),
  ].join('\n')
}

async function bundled(folder: string): Promise<Uint8Array> {
  const contents = `export { createClient } from './index.js'`
  const stdin = { contents, resolveDir: folder }
  const { outputFiles } = await build({ stdin, bundle: true, format: 'esm', minify: true, write: false })
  return outputFiles[0]?.contents ?? new Uint8Array()
}
