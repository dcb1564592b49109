import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize, sep } from 'node:path'

export interface ServeOptions {
  /** Folder to serve. */
  readonly root: string
  /** 0 takes any free port. Default 4173; the next free one where it is taken. */
  readonly port?: number
  /** Sends the headers that make pages cross-origin isolated, which threads need. Default true. */
  readonly isolated?: boolean
  /** Sent with every answer, in place of ours of the same name; names in small letters. */
  readonly headers?: Readonly<Record<string, string>>
  /** Hears of every request: its method, and its path as it was sent. */
  readonly onRequest?: (method: string, path: string) => void
}

export interface StaticServer {
  /** With a slash at its end. */
  readonly url: string
  close(): Promise<void>
}

const HOST = '127.0.0.1'
const DEFAULT_PORT = 4173
const ISOLATION = {
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
}
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.mjs': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json',
  '.map': 'application/json',
  '.svg': 'image/svg+xml',
  '.wasm': 'application/wasm',
  '.webmanifest': 'application/manifest+json',
}

/** Where pages ask how many bytes of files were sent so far: what their workers fetch they cannot see. */
const SERVED_BYTES = '/served-bytes'

/** Serves a folder to this machine: with ranges, without caching, never outside the folder. */
export async function serve({
  root,
  port = DEFAULT_PORT,
  isolated = true,
  headers: own = {},
  onRequest = () => {},
}: ServeOptions): Promise<StaticServer> {
  const headers = { ...(isolated ? ISOLATION : {}), 'cache-control': 'no-cache', ...own }
  let servedBytes = 0
  const server = createServer((request, response) => {
    onRequest(request.method ?? '', request.url ?? '')
    if (request.url === SERVED_BYTES) return tellBytes(servedBytes, headers, response)
    const count = (bytes: number): void => void (servedBytes += bytes)
    answer(root, headers, request, response, count).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  })
  for (let attempt = port; ; attempt++) {
    try {
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject)
        server.listen(attempt, HOST, () => {
          server.off('error', reject)
          resolve()
        })
      })
      break
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE' || attempt >= port + 100) throw error
    }
  }
  return {
    url: `http://${HOST}:${(server.address() as AddressInfo).port}/`,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
}

function tellBytes(bytes: number, headers: Readonly<Record<string, string>>, response: ServerResponse): void {
  const own = { 'cache-control': 'no-store', 'content-type': 'application/json' }
  response.writeHead(200, { ...headers, ...own }).end(JSON.stringify({ bytes }))
}

async function answer(
  root: string,
  headers: Readonly<Record<string, string>>,
  request: IncomingMessage,
  response: ServerResponse,
  onSent: (bytes: number) => void,
): Promise<void> {
  const path = pathOf(root, request.url ?? '/')
  const found = path === undefined ? undefined : await fileAt(path)
  if (request.method !== 'GET' && request.method !== 'HEAD')
    return void response.writeHead(405, { ...headers, allow: 'GET, HEAD' }).end()
  if (found === 'folder') {
    // Relative addresses in a page need the slash.
    const { pathname, search } = new URL(request.url ?? '/', 'http://localhost')
    return void response.writeHead(301, { ...headers, location: `${pathname}/${search}` }).end()
  }
  if (found === undefined)
    return void response.writeHead(404, { ...headers, 'content-type': 'text/plain' }).end('Not found\n')
  const type = TYPES[extname(found.path)] ?? 'application/octet-stream'
  const range = rangeOf(request.headers.range, found.size)
  if (range === 'unsatisfiable') {
    return void response.writeHead(416, { ...headers, 'content-range': `bytes */${found.size}` }).end()
  }
  const { start, end } = range ?? { start: 0, end: found.size - 1 }
  response.writeHead(range === undefined ? 200 : 206, {
    ...headers,
    'content-type': type,
    'content-length': end - start + 1,
    'accept-ranges': 'bytes',
    ...(range === undefined ? {} : { 'content-range': `bytes ${start}-${end}/${found.size}` }),
  })
  if (request.method === 'HEAD' || found.size === 0) return void response.end()
  const stream = createReadStream(found.path, { start, end })
  stream.on('error', () => response.destroy())
  stream.on('data', (piece) => onSent(piece.length))
  response.on('close', () => stream.destroy())
  stream.pipe(response)
}

/** The path inside `root`, or `undefined` for one that would leave it or is no path at all. */
function pathOf(root: string, url: string): string | undefined {
  try {
    const decoded = decodeURIComponent(url.split('?', 1)[0] ?? '/')
    if (decoded.includes('\0')) return undefined
    const path = normalize(join(root, decoded))
    return path === normalize(root) || path.startsWith(normalize(root + sep)) ? path : undefined
  } catch {
    return undefined // not valid percent-encoding
  }
}

async function fileAt(path: string): Promise<{ path: string; size: number } | 'folder' | undefined> {
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return undefined
  if (!found.isDirectory()) return path.endsWith(sep) ? undefined : { path, size: found.size }
  if (!path.endsWith(sep)) return 'folder'
  const index = join(path, 'index.html')
  const page = await stat(index).catch(() => undefined)
  return page === undefined ? undefined : { path: index, size: page.size }
}

function rangeOf(
  header: string | undefined,
  size: number,
): { start: number; end: number } | 'unsatisfiable' | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (match === null) return undefined // several ranges, or another unit: the whole file is a valid answer
  const [, first = '', last = ''] = match
  if (first === '' && last === '') return undefined
  const start = first === '' ? Math.max(0, size - Number(last)) : Number(first)
  const end = first === '' || last === '' ? size - 1 : Math.min(Number(last), size - 1)
  return start > end || start >= size ? 'unsatisfiable' : { start, end }
}
