import type { Observer, Served } from '@tabserve/engine'
import type {
  CacheFacts,
  LoadProgress,
  LoadReport,
  LoadRequest,
  Manifest,
  ToolParserName,
} from '@tabserve/protocol'
import type { Device } from '../backend/device.ts'
import type { OpenedModel } from '../models/opened-model.ts'
import type { ModelFiles } from '../models/model-files.ts'
import type { WorkerExtensions } from '../handlers/worker-extensions.ts'
import { loadGenerate } from './load-generate.ts'
import { loadInfer } from './load-infer.ts'

/** A model that answers, and how it really runs. */
export interface LoadedModel {
  readonly served: Served
  readonly contextLength: number
  /** What was found in a foreign graph. */
  readonly cache?: CacheFacts
  readonly hasChatTemplate: boolean
  /** How it writes calls of tools, as far as known. */
  readonly toolParser?: ToolParserName
  readonly report: Pick<LoadReport, 'createMs' | 'warmupMs'>
}

/** A model's files, and how to have them again later, from the store. */
export interface LoadableModel<Of extends Manifest = Manifest> extends Pick<OpenedModel, 'files'> {
  readonly manifest: Of
  readonly reopen: () => Promise<ModelFiles>
  /** Who may listen to what it does. */
  readonly observer: Observer
}

/** Makes something that serves out of a model's files. */
export type Task<Of extends Manifest> = (
  model: LoadableModel<Of>,
  device: Device,
  request: LoadRequest,
  onProgress: (progress: LoadProgress) => void,
  extensions: WorkerExtensions,
) => Promise<LoadedModel>

/** Every task that a manifest can name. */
const TASKS: { readonly [Name in Manifest['task']]: Task<Extract<Manifest, { task: Name }>> } = {
  generate: loadGenerate,
  infer: loadInfer,
}

/** Loads a model for its task. */
export const loadTask: Task<Manifest> = ({ manifest, ...model }, ...rest) =>
  manifest.task === 'generate'
    ? TASKS.generate({ ...model, manifest }, ...rest)
    : TASKS.infer({ ...model, manifest }, ...rest)
