/** Held by every tab for as long as it writes. */
const LOCK = 'tabserve-notebook-writes'

/** Runs work that a new version of the page must not interrupt. Where browsers have no locks (insecure pages) there are no service workers either. */
export async function whileWriting<T>(work: () => Promise<T>): Promise<T> {
  return navigator.locks.request(LOCK, { mode: 'shared' }, work)
}

/** Runs when no tab writes; what begins meanwhile waits. */
export async function whenNobodyWrites(work: () => Promise<void>): Promise<void> {
  await navigator.locks.request(LOCK, work)
}
