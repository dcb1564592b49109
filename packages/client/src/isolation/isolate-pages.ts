import type { WorkerScope } from '../doors/service-worker/worker-scope.ts'
import type { IsolationPolicy } from './isolation-policy.ts'
import { isolationHeaders } from './isolation-policy.ts'

/** The first Chromium that isolates a document on its own. */
const DOCUMENT_ISOLATION = 137

/** What is isolated, or has to say so to be let into what is. Everything else, models above all, passes by the service worker. */
const WORKERS: readonly string[] = ['worker', 'sharedworker']

/**
 * Call it in a service worker, at its top: pages of its scope, and their workers, get the headers of cross-origin isolation that a static host does
 * not send. A page is isolated from its first reload on; `isolatePage` on the page sees to that. Requests that a listener added before has answered are not touched.
 */
export function isolatePages(
  scope: WorkerScope,
  { policy = 'auto' }: { readonly policy?: IsolationPolicy } = {},
): void {
  const headers = isolationHeaders(policy, knowsDocument(scope.navigator))
  scope.addEventListener('fetch', (event) => {
    const { mode, destination } = event.request
    if (mode === 'navigate' || WORKERS.includes(destination))
      event.respondWith(withHeaders(event.request, headers))
  })
}

async function withHeaders(request: Request, added: Readonly<Record<string, string>>): Promise<Response> {
  const response = await fetch(request)
  // Redirects and what another origin keeps to itself have no headers to read, and none to add.
  if (response.type === 'opaque' || response.type === 'opaqueredirect' || response.status === 0)
    return response
  const headers = new Headers(response.headers)
  for (const [name, value] of Object.entries(added)) headers.set(name, value)
  const { status, statusText } = response
  return new Response(response.body, { status, statusText, headers })
}

function knowsDocument({ userAgentData }: WorkerScope['navigator']): boolean {
  if (userAgentData === undefined || userAgentData.mobile) return false
  return userAgentData.brands.some(
    ({ brand, version }) => brand === 'Chromium' && Number(version) >= DOCUMENT_ISOLATION,
  )
}
