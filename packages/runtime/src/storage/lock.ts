/**
 * Waits until nobody else, in whatever tab, holds the lock. Returns how to let it go; a tab that dies lets go too. Insecure pages have no locks:
 * there two tabs may do the same work twice.
 */
export function acquireLock(name: string, signal?: AbortSignal): Promise<() => void> {
  const locks = globalThis.navigator?.locks
  if (locks === undefined) return Promise.resolve(() => {})
  return new Promise((resolve, reject) => {
    const hold = () => new Promise<void>((release) => resolve(release))
    locks.request(name, signal === undefined ? {} : { signal }, hold).catch(reject)
  })
}

/** Runs `work` unless somebody holds the lock. */
export async function withFreeLock(name: string, work: () => Promise<void>): Promise<void> {
  const locks = globalThis.navigator?.locks
  if (locks === undefined) return work()
  await locks.request(name, { ifAvailable: true }, (lock) => (lock === null ? undefined : work()))
}

/** Held by who downloads a file. */
export const fileLock = (sha256: string) => `tabserve-file ${sha256}`
