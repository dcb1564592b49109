export { serveFromPages, startServiceWorker } from './serve-from-pages.ts'
export type { ServiceWorkerOptions } from './serve-from-pages.ts'
export type { WorkerScope } from './worker-scope.ts'
