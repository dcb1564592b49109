/**
 * For a worker file of your own: handlers, functions of pipelines, hooks of batching. Call `startWorker({ handlers })` in it, and give the file to
 * `createClient({ worker })`.
 *
 * @module tabserve/worker
 */

export { EngineError, startWorker, transformersPipeline } from '@tabserve/worker'
export type * from '@tabserve/worker'
