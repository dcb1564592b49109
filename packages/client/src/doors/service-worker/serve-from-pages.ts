import { jsonResponse } from '../http/route.ts'
import { firstOffer, forward } from './forward.ts'
import type { ForwardedRequest } from './wire.ts'
import type { FetchEvent, WorkerScope } from './worker-scope.ts'

/** Which requests a service worker hands to pages. */
export interface ServiceWorkerOptions {
  /** Path below which the routes lie. With a slash at its end. Default `/`: `/v1/…`, `/v2/…` and `/metrics`. */
  readonly base?: string
}

/** A page that holds a client answers in a few milliseconds; one that is frozen or has none, never. */
const OFFER_WAIT_MS = 1000

/**
 * Call it in a service worker of your own, at its top: requests of every page of the scope to `/v1/…` and `/v2/…` of this origin are answered by
 * a page that has called `client.serveOrigin()`, the one that has the model before others. Where there is none: 503.
 */
export function serveFromPages(scope: WorkerScope, { base = '/' }: ServiceWorkerOptions = {}): void {
  scope.addEventListener('fetch', (event) => {
    const { origin, pathname } = new URL(event.request.url)
    if (origin === scope.location.origin && isServed(pathname, base)) event.respondWith(answer(scope, event))
  })
}

/** The same with the haste of a service worker that does nothing else: it takes over at once, pages that are open already included. */
export function startServiceWorker(scope: WorkerScope, options: ServiceWorkerOptions = {}): void {
  takeOver(scope)
  serveFromPages(scope, options)
}

/** A new version of the service worker replaces the old one at once, and pages that are open get it. */
export function takeOver(scope: WorkerScope): void {
  scope.addEventListener('install', (event) => event.waitUntil(scope.skipWaiting()))
  scope.addEventListener('activate', (event) => event.waitUntil(scope.clients.claim()))
}

function isServed(pathname: string, base: string): boolean {
  if (!pathname.startsWith(base)) return false
  return /^(v1\/|v2(\/|$)|metrics$)/.test(pathname.slice(base.length))
}

async function answer(scope: WorkerScope, event: FetchEvent): Promise<Response> {
  const { request } = event
  const forwarded: ForwardedRequest = {
    url: request.url,
    method: request.method,
    headers: [...request.headers],
    body: await request.text(),
  }
  const pages = await scope.clients.matchAll({ type: 'window', includeUncontrolled: true })
  const model = modelOf(forwarded.body)
  const question = { type: 'tabserve-question' as const, ...(model === undefined ? {} : { model }) }
  const offer = await firstOffer(pages, question, OFFER_WAIT_MS)
  if (offer === undefined) return noPage(new URL(request.url).pathname)
  const { response, done } = forward(offer, forwarded, request.signal, scope.navigator.locks)
  event.waitUntil(done) // else the browser may end the worker in the middle of a long answer
  return response
}

/** Only a hint at which page to ask; what is wrong with the body is for that page to say. */
function modelOf(body: string): string | undefined {
  try {
    const { model } = JSON.parse(body) as { model?: unknown }
    return typeof model === 'string' ? model : undefined
  } catch {
    return undefined // no body, or not JSON
  }
}

function noPage(pathname: string): Response {
  const message =
    'No open page of this origin serves a model: open one that calls client.serveOrigin(), then try again.'
  const isKServe = /\/v2(\/|$)/.test(pathname)
  const error = isKServe ? message : { message, type: 'server_error', param: null, code: 'no_engine' }
  return jsonResponse({ error }, 503, { 'retry-after': '1' })
}
