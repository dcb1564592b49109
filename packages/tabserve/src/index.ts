import { Client } from '@tabserve/client'
import type { ClientOptions } from '@tabserve/client'
import { assets } from '@tabserve/runtime/assets'

export { Client, EngineError, Generation, connect } from '@tabserve/client'
export type * from '@tabserve/client'

/**
 * Starts a worker and gives the client that talks to it. Throws `EngineError`; a worker script that cannot be fetched
 * is `engine_lost`.
 */
export function createClient(options: Partial<ClientOptions> = {}): Promise<Client> {
  return Client.create({
    worker: () =>
      new Worker(new URL('./worker-file.ts', import.meta.url), { type: 'module', name: 'tabserve' }),
    broker: (name) => new SharedWorker(new URL('./broker.ts', import.meta.url), { type: 'module', name }),
    assets,
    ...options,
  })
}
