/**
 * Waits until nobody else, in whatever tab, holds the lock. Returns how to let it go; a tab that dies lets go too. Insecure pages have no locks:
 * there two tabs may do the same work twice.
 * @param onWait called when the lock is not free at once.
 */
export function acquireLock(
  name: string,
  signal?: AbortSignal,
  onWait: () => void = () => {},
): Promise<() => void> {
  const locks = globalThis.navigator?.locks
  if (locks === undefined) return Promise.resolve(() => {})
  return new Promise((resolve, reject) => {
    const hold = () => new Promise<void>((release) => resolve(release))
    const wait = () => locks.request(name, signal === undefined ? {} : { signal }, hold)
    const tryFirst = async () => {
      const isHeld = await locks.request(name, { ifAvailable: true }, async (lock) => {
        if (lock === null) return false
        await hold()
        return true
      })
      if (isHeld) return
      onWait()
      await wait()
    }
    tryFirst().catch(reject)
  })
}

/** Runs `work` unless somebody holds the lock. */
export async function withFreeLock(name: string, work: () => Promise<void>): Promise<void> {
  const locks = globalThis.navigator?.locks
  if (locks === undefined) return work()
  await locks.request(name, { ifAvailable: true }, (lock) => (lock === null ? undefined : work()))
}

/** Held by who downloads a file into the store that is called `scope`: only who shares the store shares the download. */
export const fileLock = (scope: string, sha256: string) => `tabserve-file ${scope} ${sha256}`

/** Held for a moment by who writes records into that store, or removes what none of them needs. */
export const recordLock = (scope: string) => `tabserve-records ${scope}`
