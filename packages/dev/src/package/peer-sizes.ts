import { execFile } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { sizeOf, sizesText } from './sizes.ts'

/** What a page of each fetches before any weight: its script, then the WebAssembly that it cannot do without. */
const PEERS: Readonly<Record<string, readonly string[]>> = {
  '@mlc-ai/web-llm': ['lib/index.js'],
  '@huggingface/transformers': ['dist/transformers.web.min.js'],
  'onnxruntime-web': ['dist/ort-wasm-simd-threaded.asyncify.wasm'],
  '@wllama/wllama': ['esm/index.min.js', 'esm/wasm/wllama.wasm'],
}

/** `npm run peer-sizes`: the same files of other engines, as npm has them now. Needs the registry. */
const folder = await mkdtemp(join(tmpdir(), 'tabserve-peers-'))
try {
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--prefix', folder]
  await promisify(execFile)('npm', ['install', ...quiet, ...Object.keys(PEERS)], { maxBuffer: 1 << 26 })
  const sizes = []
  for (const [name, files] of Object.entries(PEERS)) {
    const home = join(folder, 'node_modules', name)
    const { version } = JSON.parse(await readFile(join(home, 'package.json'), 'utf8')) as { version: string }
    for (const file of files) {
      const bytes = await readFile(join(home, file)).catch(() => undefined)
      if (bytes === undefined) console.log(`${name}@${version} has no ${file}`)
      else sizes.push(await sizeOf(`${name}@${version} ${file}`, bytes))
    }
  }
  console.log(sizesText(sizes))
} finally {
  await rm(folder, { recursive: true, force: true })
}
