export { startWorker } from './host.ts'
export { transformersPipeline } from '@tabserve/runtime'
export { EngineError } from '@tabserve/protocol'
export type { BatchCandidate, CanBatch } from '@tabserve/engine'
export type { Manifest, TensorValue, Tensors } from '@tabserve/protocol'
export type {
  AnyHandler,
  Handler,
  HandlerContext,
  HandlerFactory,
  HandlerHost,
  Handlers,
  InputOf,
  ModelFiles,
  MultiPass,
  MultiPassContext,
  OutputOf,
  PipelineContext,
  PipelineFunction,
  PipelineOptions,
  WorkerExtensions,
} from '@tabserve/runtime'
