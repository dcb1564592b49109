import { EngineError } from '@tabserve/protocol'
import type { Host } from './host.ts'

/** What a load does for which there is not enough memory. */
export type WhenTight = 'fail' | 'sleep-idle'

/**
 * Loads; and where the machine has not enough memory, once more after the models that nobody asks just now were put to sleep. The next request wakes
 * them.
 */
export async function withRoom<T>(host: Host, whenTight: WhenTight, load: () => Promise<T>): Promise<T> {
  try {
    return await load()
  } catch (error) {
    const isTight = error instanceof EngineError && error.code === 'memory'
    if (!isTight || whenTight === 'fail' || (await sleepIdle(host)) === 0) throw error
    return load()
  }
}

/** Returns how many models were put to sleep. */
async function sleepIdle(host: Host): Promise<number> {
  const { models } = await host.call((api) => api.health())
  const idle = models.filter(
    ({ state, waiting, replicas }) =>
      state === 'ready' && waiting === 0 && replicas.every(({ requests }) => requests === 0),
  )
  await Promise.all(idle.map(({ id }) => host.call((api) => api.sleep(id, { level: 2, arriving: 'wake' }))))
  return idle.length
}
