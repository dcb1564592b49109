import type { WorkerScope } from '@tabserve/client/service-worker'
import { startServiceWorker } from '@tabserve/client/service-worker'

/** TypeScript takes `self` for a page's. */
startServiceWorker(self as unknown as WorkerScope)
