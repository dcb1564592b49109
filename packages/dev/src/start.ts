import { join } from 'node:path'
import { SHAPE_15M } from './bench/shapes.ts'
import { writePeerModels } from './peer-models/write.ts'
import { serve } from './serve.ts'

const SITE = join(import.meta.dirname, '../../../dist')

/** Serves the built demo until Ctrl-C. */
const { url, close } = await serve({ root: SITE })
console.log(
  `tabserve demo: ${url}\n  chat:       ${url}chat/\n  notebook:   ${url}pwa/\n  script tag: ${url}script-tag/\n  benchmark:  ${url}bench/`,
)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void close())
// The page says that they are still being made; the demo need not wait for them.
await writePeerModels(join(SITE, 'bench-models'), SHAPE_15M, '15M shape, random weights')
