/**
 * For a service worker of your own: answers of open pages, and the headers of isolation.
 *
 * @module tabserve/service-worker
 */

export { isolatePages, serveFromPages, startServiceWorker } from '@tabserve/client/service-worker'
export type { IsolationPolicy, ServiceWorkerOptions, WorkerScope } from '@tabserve/client/service-worker'
