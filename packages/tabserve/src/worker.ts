/** For pages that own their worker file: call `startWorker({ handlers })` in it, and give the file to `createClient({ worker })`. */
export { EngineError, startWorker, transformersPipeline } from '@tabserve/worker'
export type * from '@tabserve/worker'
