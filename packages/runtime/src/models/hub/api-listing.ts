import type { HubModel } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { gitBlobId, sha256Of } from '../sha256.ts'
import { encodedPath } from '../small-file.ts'
import type { HubClient } from './hub-client.ts'
import type { HubFile, Listing } from './listing.ts'

/** More than any repository has; a listing that goes in circles ends. */
const MAX_PAGES = 100

/**
 * What the hub's API says of a revision: its commit, and every file of that commit with size and hash. `undefined` where there is no API, or it knows no such
 * revision. https://huggingface.co/docs/hub/api
 */
export async function apiListing(client: HubClient, model: HubModel): Promise<Listing | undefined> {
  const { hub, revision, baseUrl } = model
  const api = `${baseUrl}api/models/${hub}/`
  const commit = await commitOf(client, api, revision)
  if (commit === undefined) return undefined
  const files = await tree(client, `${api}tree/${commit}?recursive=true`)
  if (files === undefined) {
    // A commit that was given says nothing of an API; one that the API gave does, and its hashes are not done without.
    if (commit === revision) return undefined
    throw unlisted(api)
  }
  const byPath = new Map(files.map((file) => [file.path, file]))
  const folder = `${baseUrl}${hub}/resolve/${commit}/`
  return {
    folder,
    commit,
    paths: [...byPath.keys()],
    find: async (path) => byPath.get(path),
    async read(path) {
      const file = byPath.get(path)
      if (file === undefined) return undefined
      const bytes = await client.read(folder + encodedPath(path), path)
      if (bytes === undefined) throw missing(folder, path)
      await check(folder, file, bytes)
      return bytes
    },
  }
}

const COMMIT = /^[0-9a-f]{40}$/

async function commitOf(client: HubClient, api: string, revision: string): Promise<string | undefined> {
  if (COMMIT.test(revision)) return revision
  const found = await client.readJson(`${api}revision/${encodeURIComponent(revision)}`)
  const sha = (found?.value as { sha?: unknown } | null | undefined)?.sha
  return typeof sha === 'string' && COMMIT.test(sha) ? sha : undefined
}

/** The pages of a listing, each of which says where the next one is. */
async function tree(client: HubClient, first: string): Promise<HubFile[] | undefined> {
  const files: HubFile[] = []
  let url: string | undefined = first
  for (let page = 0; url !== undefined && page < MAX_PAGES; page++) {
    const found = await client.readJson(url)
    if (found === undefined || !Array.isArray(found.value)) {
      if (page === 0) return undefined
      throw unlisted(url)
    }
    for (const file of found.value.map(fileOf)) if (file !== undefined) files.push(file)
    url = nextPage(found.answer.header('link'), url)
  }
  return files
}

/** Mirrors pass on links to the hub itself: only the place to go on from is taken, so that the token stays where it is. */
function nextPage(link: string | null, current: string): string | undefined {
  const next = /<([^>]+)>\s*;\s*rel="?next"?/.exec(link ?? '')?.[1]
  if (next === undefined || !URL.canParse(next, current)) return undefined
  const url = new URL(current)
  url.search = new URL(next, current).search
  return url.href
}

/** An entry of the listing; `undefined` for folders and what is not an entry. */
function fileOf(entry: unknown): HubFile | undefined {
  const { type, path, size, oid, lfs } = (entry ?? {}) as Readonly<Record<string, unknown>>
  if (type !== 'file' || typeof path !== 'string') return undefined
  const { oid: sha256, size: largeSize } = (lfs ?? {}) as Readonly<Record<string, unknown>>
  const bytes = largeSize ?? size
  if (!Number.isSafeInteger(bytes) || (bytes as number) < 0) return undefined
  if (typeof sha256 === 'string' && /^[0-9a-f]{64}$/.test(sha256))
    return { path, bytes: bytes as number, hash: { sha256 } }
  if (typeof oid === 'string' && COMMIT.test(oid))
    return { path, bytes: bytes as number, hash: { gitBlob: oid } }
  return undefined
}

async function check(folder: string, { path, bytes: size, hash }: HubFile, bytes: Uint8Array<ArrayBuffer>) {
  if (hash === undefined) throw new Error('the API lists no file without its hash')
  const [found, expected] =
    'sha256' in hash ? [await sha256Of(bytes), hash.sha256] : [await gitBlobId(bytes), hash.gitBlob]
  if (found === expected && bytes.byteLength === size) return
  const message = `${folder}${path} is not the file that the hub lists: ${bytes.byteLength} bytes with hash ${found}, not ${size} with ${expected}. Nothing was kept. Load again, or use another mirror.`
  throw new EngineError('integrity', message, { file: path })
}

function unlisted(api: string): EngineError {
  return new EngineError('network', `${api} does not list the files of the repository. Try again later.`)
}

function missing(folder: string, path: string): EngineError {
  return new EngineError('model_not_found', `${folder}${path} is listed, but is not there.`, { file: path })
}
