/** What a page's own worker file brings and sees, apart from the rest: its types are published. */
export type * from './handlers/handler.ts'
export type { WorkerExtensions } from './handlers/worker-extensions.ts'
export type { ModelFiles } from './models/model-files.ts'
export type { PipelineContext, PipelineFunction } from './tasks/pipeline.ts'
export { transformersPipeline } from './transformers/serve-pipeline.ts'
export type { PipelineOptions } from './transformers/serve-pipeline.ts'
