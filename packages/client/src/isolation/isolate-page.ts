/** Set before the one reload: a page that is not isolated after it would reload for ever. */
const MARK = 'tabserve-isolation'

/**
 * Makes this page cross-origin isolated, which threads need, where the host sends no headers for it: registers the service worker at this address
 * (`tabserve.isolation-worker.js`, or one of your own with `isolatePages`) and reloads the page, once. Call it before anything that a reload would lose.
 * Resolves with whether the page is isolated; never, where it reloads. Where that is not to be had (no service workers, a browser that does not know the policy) everything works, on one thread.
 */
export async function isolatePage(serviceWorker: string): Promise<boolean> {
  if (crossOriginIsolated) {
    sessionStorage.removeItem(MARK)
    return true
  }
  const container = navigator.serviceWorker as ServiceWorkerContainer | undefined
  if (container === undefined || sessionStorage.getItem(MARK) !== null) return false
  try {
    await container.register(serviceWorker)
    await container.ready
  } catch {
    return false // blocked by the user or a policy, or no script there: the console says which
  }
  sessionStorage.setItem(MARK, 'reloaded')
  location.reload()
  return new Promise(() => {})
}
