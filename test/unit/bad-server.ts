import { readFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'

const MODEL = join(import.meta.dirname, '../../models/stories/v1')

/** One request for a file: what it asked for, and what a good server would send. */
export interface Asked {
  readonly file: string
  /** The whole path. */
  readonly path: string
  /** How many requests for this file came before. */
  readonly before: number
  readonly from: number
  readonly to: number
  readonly isRange: boolean
  /** The request's `If-Range`. */
  readonly ifRange: string | undefined
  readonly whole: Buffer
  readonly response: ServerResponse
}

export interface BadServer {
  /** Of the bundled model's folder. */
  readonly url: string
  /** Bytes of bodies that were sent, by file. */
  readonly sent: Map<string, number>
  readonly requests: string[]
  close(): Promise<void>
}

/** Serves the bundled model with ranges, to any origin. `misbehave` may answer itself, and then returns true. */
export async function serveBadly(
  misbehave: (asked: Asked, server: BadServer) => boolean = () => false,
): Promise<BadServer> {
  const counts = new Map<string, number>()
  const http = createServer((request, response) => void answer(request, response))
  await new Promise<void>((resolve) => http.listen(0, '127.0.0.1', resolve))
  const server: BadServer = {
    url: `http://127.0.0.1:${(http.address() as AddressInfo).port}/v1/`,
    sent: new Map(),
    requests: [],
    close: () =>
      new Promise((resolve) => {
        http.close(() => resolve())
        http.closeAllConnections()
      }),
  }
  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('access-control-allow-origin', '*')
    const file = (request.url ?? '').split('/').at(-1) ?? ''
    const whole = await readFile(join(MODEL, file))
    const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '') ?? []
    const isRange = first !== undefined
    const from = Number(first ?? 0)
    const to = last === undefined || last === '' ? whole.length : Number(last) + 1
    const ifRange = request.headers['if-range'] as string | undefined
    const before = counts.get(file) ?? 0
    counts.set(file, before + 1)
    server.requests.push(file)
    if (
      misbehave(
        { file, path: request.url ?? '', before, from, to, isRange, ifRange, whole, response },
        server,
      )
    )
      return
    response.writeHead(isRange ? 206 : 200, {
      'content-length': to - from,
      ...(isRange ? { 'content-range': `bytes ${from}-${to - 1}/${whole.length}` } : {}),
    })
    server.sent.set(file, (server.sent.get(file) ?? 0) + to - from)
    response.end(whole.subarray(from, to))
  }
  return server
}
