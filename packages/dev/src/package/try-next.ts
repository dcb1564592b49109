import { execFile, spawn } from 'node:child_process'
import { promisify } from 'node:util'
import { Consumer } from '../../../../test/package/consumer.ts'
import { generate } from '../../../../test/package/served.ts'
import { launchPersistent } from '../launch-browser.ts'

/** Next's next major version may want something else. */
const PACKAGES = ['next@16.4.6', 'react@19', 'react-dom@19']

const PAGE = `'use client'
import { useEffect } from 'react'
import { createClient } from 'tabserve'
export default function Page() {
  useEffect(() => void (window.tabserve = { createClient }), [])
  return <p>App</p>
}
`
const LAYOUT = `export default function Layout({ children }) {
  return <html lang="en"><body>{children}</body></html>
}
`
const CONFIG = `export default {
  headers: async () => [{
    source: '/:path*',
    headers: [
      { key: 'Cross-Origin-Opener-Policy', value: 'same-origin' },
      { key: 'Cross-Origin-Embedder-Policy', value: 'require-corp' },
    ],
  }],
}
`

/** Installs the package into a Next.js app, builds it with both of its bundlers, and lets it generate. Needs the npm registry, and minutes. */
const run = promisify(execFile)
const consumer = await Consumer.create()
const { context, close } = await launchPersistent()
try {
  const cwd = consumer.folder
  console.log(`installing ${PACKAGES.join(', ')}`)
  await run('npm', ['install', '--no-audit', '--no-fund', ...PACKAGES], { cwd, maxBuffer: 1 << 26 })
  await consumer.write('app/page.jsx', PAGE)
  await consumer.write('app/layout.jsx', LAYOUT)
  await consumer.write('next.config.mjs', CONFIG)
  await consumer.addModel('public')
  for (const bundler of ['--turbopack', '--webpack']) {
    await run('node_modules/.bin/next', ['build', bundler], { cwd, maxBuffer: 1 << 26 })
    const port = 4300 + Math.floor(1000 * Math.random())
    const server = spawn('node_modules/.bin/next', ['start', '-H', '127.0.0.1', '-p', String(port)], { cwd })
    try {
      await new Promise<void>((resolve) =>
        server.stdout.on('data', (data) => String(data).includes('Ready') && resolve()),
      )
      const page = await context.newPage()
      const fetched = new Set<string>()
      context.on('request', (request) => fetched.add(new URL(request.url()).pathname))
      await page.goto(`http://127.0.0.1:${port}/`)
      await page.waitForFunction(() => 'tabserve' in window)
      console.log(`next build ${bundler}:`, await generate(page, { threads: 2 }))
      console.log(`  wasm: ${[...fetched].filter((path) => path.endsWith('.wasm')).join(', ')}`)
      console.log(`next build ${bundler}, onnxruntime:`, await generate(page, { runner: 'heap' }))
      await page.close()
    } finally {
      server.kill()
    }
  }
} finally {
  await close()
  await consumer.remove()
}
