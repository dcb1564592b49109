export { startWorker } from './host.ts'
