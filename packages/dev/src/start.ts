import { join } from 'node:path'
import { serve } from './serve.ts'

/** Serves the built demo until Ctrl-C. */
const { url, close } = await serve({ root: join(import.meta.dirname, '../../../dist') })
console.log(
  `tabserve demo: ${url}\n  chat:       ${url}chat/\n  notebook:   ${url}pwa/\n  script tag: ${url}script-tag/`,
)
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => void close())
