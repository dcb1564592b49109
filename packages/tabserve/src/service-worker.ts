export { serveFromPages, startServiceWorker } from '@tabserve/client/service-worker'
export type { ServiceWorkerOptions, WorkerScope } from '@tabserve/client/service-worker'
