import { createHash } from 'node:crypto'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A repository's files by path. */
export type HubFiles = ReadonlyMap<string, Buffer>

export interface HubServerOptions {
  /** Without it the server is a plain mirror: files at their addresses, and nothing else. Default true. */
  readonly hasApi?: boolean
  /** Where there is no API: files lie in `{repository}/…`, without `resolve/{revision}/`. Default false. */
  readonly isFolder?: boolean
  /** Entries a page of the listing. Default 1000, as the hub has it. */
  readonly pageSize?: number
  /** Repositories are private: a request needs this token. */
  readonly token?: string
  /** May answer itself, and then returns true. */
  readonly misbehave?: (asked: HubAsked) => boolean
}

export interface HubAsked {
  readonly method: string
  readonly path: string
  /** The request came to the server of large files, whose origin is another one. */
  readonly isCdn: boolean
  readonly authorization: string | undefined
  readonly response: ServerResponse
}

export interface HubServer {
  /** With a slash at its end. */
  readonly url: string
  readonly cdnUrl: string
  readonly requests: Omit<HubAsked, 'response'>[]
  /** Makes `files` the newest commit of a repository's `main`. Returns its id. */
  publish(repository: string, files: HubFiles): string
  close(): Promise<void>
}

interface Commit {
  readonly id: string
  readonly files: HubFiles
}

const HOST = '127.0.0.1'
const LARGE_BYTES = 2 ** 20
const CORS = {
  'access-control-allow-origin': '*',
  'access-control-allow-headers': 'authorization, range',
  'access-control-expose-headers': 'link, etag, content-range, x-repo-commit',
}

/** A server laid out like the Hugging Face hub: its API, `resolve` addresses, and a redirect to another origin for large files. */
export async function serveHub(options: HubServerOptions = {}): Promise<HubServer> {
  const hub = new Hub(options)
  await hub.listen()
  return hub
}

class Hub implements HubServer {
  readonly requests: Omit<HubAsked, 'response'>[] = []
  readonly #options: HubServerOptions
  /** Oldest first. */
  readonly #commits = new Map<string, Commit[]>()
  readonly #large = new Map<string, Buffer>()
  readonly #main = createServer((request, response) => this.#answer(request, response, false))
  readonly #cdn = createServer((request, response) => this.#answer(request, response, true))

  constructor(options: HubServerOptions) {
    this.#options = options
  }

  get url(): string {
    return addressOf(this.#main)
  }

  get cdnUrl(): string {
    return addressOf(this.#cdn)
  }

  async listen(): Promise<void> {
    for (const server of [this.#main, this.#cdn])
      await new Promise<void>((resolve) => server.listen(0, HOST, resolve))
  }

  publish(repository: string, files: HubFiles): string {
    const commits = this.#commits.get(repository) ?? []
    const id = createHash('sha1').update(`${repository} ${commits.length}`).digest('hex')
    this.#commits.set(repository, [...commits, { id, files }])
    for (const [path, bytes] of files) if (isLarge(path, bytes)) this.#large.set(sha256(bytes), bytes)
    return id
  }

  async close(): Promise<void> {
    for (const server of [this.#main, this.#cdn]) {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    }
  }

  #answer(request: IncomingMessage, response: ServerResponse, isCdn: boolean): void {
    for (const [name, value] of Object.entries(CORS)) response.setHeader(name, value)
    if (request.method === 'OPTIONS') return void response.writeHead(204).end()
    const url = new URL(request.url ?? '/', this.url)
    const { method = 'GET' } = request
    const asked = { method, path: url.pathname, isCdn, authorization: request.headers.authorization }
    this.requests.push(asked)
    if (this.#options.misbehave?.({ ...asked, response }) === true) return
    if (isCdn) return send(this.#large.get(url.pathname.slice(1)), request, response)
    const { token } = this.#options
    if (token !== undefined && asked.authorization !== `Bearer ${token}`)
      return void response.writeHead(asked.authorization === undefined ? 401 : 403).end('Gated')
    const path = decodeURIComponent(url.pathname).slice(1)
    if (this.#options.hasApi === false) return this.#file(path, request, response)
    if (path.startsWith('api/models/')) return this.#api(path.slice('api/models/'.length), url, response)
    this.#file(path, request, response)
  }

  #api(path: string, url: URL, response: ServerResponse): void {
    const [, repository = '', verb = '', revision = ''] =
      /^([^/]+\/[^/]+)\/(revision|tree)\/(.+)$/.exec(path) ?? []
    const commit = this.#find(repository, revision)
    if (commit === undefined) return void response.writeHead(404).end('{"error":"not found"}')
    if (verb === 'revision') return json(response, { id: repository, sha: commit.id })
    const { pageSize = 1000 } = this.#options
    const from = Number(url.searchParams.get('cursor') ?? 0)
    const entries = [...commit.files].map(entryOf)
    if (from + pageSize < entries.length) {
      url.searchParams.set('cursor', String(from + pageSize))
      response.setHeader('link', `<${url.href}>; rel="next"`)
    }
    json(response, [
      { type: 'directory', path: 'onnx', size: 0, oid: '' },
      ...entries.slice(from, from + pageSize),
    ])
  }

  #file(path: string, request: IncomingMessage, response: ServerResponse): void {
    const { isFolder = false } = this.#options
    const pattern = isFolder ? /^([^/]+\/[^/]+)\/()(.+)$/ : /^([^/]+\/[^/]+)\/resolve\/([^/]+)\/(.+)$/
    const [, repository = '', revision = '', name = ''] = pattern.exec(path) ?? []
    const commit = this.#find(repository, isFolder ? 'main' : revision)
    const bytes = commit?.files.get(name)
    if (commit !== undefined && bytes !== undefined && isLarge(name, bytes) && !isFolder)
      return void response
        .writeHead(302, { location: `${this.cdnUrl}${sha256(bytes)}`, 'x-repo-commit': commit.id })
        .end()
    send(bytes, request, response)
  }

  #find(repository: string, revision: string): Commit | undefined {
    const commits = this.#commits.get(repository) ?? []
    return revision === 'main' ? commits.at(-1) : commits.find(({ id }) => id === revision)
  }
}

function entryOf([path, bytes]: readonly [string, Buffer]) {
  const size = bytes.length
  const pointer = `version https://git-lfs.github.com/spec/v1\noid sha256:${sha256(bytes)}\nsize ${size}\n`
  const inGit = isLarge(path, bytes) ? Buffer.from(pointer) : bytes
  const oid = createHash('sha1').update(`blob ${inGit.length}\0`).update(inGit).digest('hex')
  if (inGit === bytes) return { type: 'file', path, size, oid }
  return { type: 'file', path, size, oid, lfs: { oid: sha256(bytes), size, pointerSize: pointer.length } }
}

function send(
  bytes: Buffer | undefined,
  { method, headers }: IncomingMessage,
  response: ServerResponse,
): void {
  if (bytes === undefined) return void response.writeHead(404).end('Entry not found')
  const [, first, last = ''] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? '') ?? []
  const from = Number(first ?? 0)
  const to = last === '' ? bytes.length : Math.min(bytes.length, Number(last) + 1)
  response.writeHead(first === undefined ? 200 : 206, {
    'content-length': to - from,
    etag: `"${createHash('sha1').update(bytes).digest('hex')}"`,
    ...(first === undefined ? {} : { 'content-range': `bytes ${from}-${to - 1}/${bytes.length}` }),
  })
  response.end(method === 'HEAD' ? undefined : bytes.subarray(from, to))
}

/** What the hub keeps in LFS. */
function isLarge(path: string, bytes: Buffer): boolean {
  return /\.onnx(_data(_\d+)?)?$/.test(path) || bytes.length > LARGE_BYTES
}

function json(response: ServerResponse, value: unknown): void {
  response.setHeader('content-type', 'application/json').end(JSON.stringify(value))
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function addressOf(server: Server): string {
  return `http://${HOST}:${(server.address() as AddressInfo).port}/`
}
