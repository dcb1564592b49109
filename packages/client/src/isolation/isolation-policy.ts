/**
 * What a page gives up to be cross-origin isolated, which threads need.
 *
 * `document`: nothing; Chromium on desktops alone knows it. `credentialless`: frames of other origins and the handles of popups, and other origins'
 * pictures and scripts come without cookies; Safari does not know it. `require-corp`: frames, handles, and whatever of other origins does not say that it may be
 * embedded. `auto`: `document` where the browser knows it, else `credentialless`.
 */
export type IsolationPolicy = 'auto' | 'document' | 'credentialless' | 'require-corp'

const POLICIES: Readonly<Record<IsolationPolicy, true>> = {
  auto: true,
  document: true,
  credentialless: true,
  'require-corp': true,
}

export function isIsolationPolicy(value: string): value is IsolationPolicy {
  return Object.hasOwn(POLICIES, value)
}

/** The response headers of pages and of their workers. */
export function isolationHeaders(
  policy: IsolationPolicy,
  knowsDocument: boolean,
): Readonly<Record<string, string>> {
  switch (policy) {
    case 'auto':
      return isolationHeaders(knowsDocument ? 'document' : 'credentialless', knowsDocument)
    case 'document':
      return { 'document-isolation-policy': 'isolate-and-credentialless' }
    case 'credentialless':
    case 'require-corp':
      return { 'cross-origin-opener-policy': 'same-origin', 'cross-origin-embedder-policy': policy }
  }
}
