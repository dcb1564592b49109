export { isolatePages, serveFromPages, startServiceWorker } from '@tabserve/client/service-worker'
export type { IsolationPolicy, ServiceWorkerOptions, WorkerScope } from '@tabserve/client/service-worker'
