import type { CanBatch } from '@tabserve/engine'
import type { PipelineFunction } from '../tasks/pipeline.ts'
import type { Handlers } from './handler.ts'

/** What a page's own worker file brings: functions cannot come from the page. */
export interface WorkerExtensions {
  /** By the names that loads and manifests say. They come before tabserve's own. */
  readonly handlers?: Handlers
  /** Functions that pipelines run, by the names that their nodes say. */
  readonly functions?: Readonly<Record<string, PipelineFunction>>
  /** Hooks of batching, by the names that loads say in `batching.canBatch`. */
  readonly batchHooks?: Readonly<Record<string, CanBatch>>
  /**
   * Imports a transformers.js of the page's own, the module `@xenova/transformers`, in place of the one that comes with tabserve and is fetched from
   * `assets.transformers`.
   */
  readonly transformers?: () => Promise<object>
}
