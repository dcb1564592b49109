/**
 * What a page imports: `createClient`, and the types of everything that a client takes and gives.
 *
 * @module tabserve
 */

import { Client } from '@tabserve/client'
import type { ClientOptions } from '@tabserve/client'
import { assets, workerScript } from './assets.ts'
import { workerAt } from './worker-at.ts'

export { Client, EngineError, Generation, connect, isolatePage } from '@tabserve/client'
export type * from '@tabserve/client'

/**
 * Starts a worker and gives the client that talks to it. Throws `EngineError`; a worker script that cannot be fetched
 * is `engine_lost`.
 */
export function createClient(options: Partial<ClientOptions> = {}): Promise<Client> {
  return Client.create({
    worker: workerAt(workerScript),
    // Small enough for bundlers to make it part of a script, which a shared worker cannot be; as a worker they leave it a file.
    broker: (name) =>
      new SharedWorker(new URL('./assets/tabserve.broker.js', import.meta.url), { type: 'module', name }),
    assets,
    ...options,
  })
}
