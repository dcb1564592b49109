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
import { loadGenerate } from './load-generate.ts'

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
export interface LoadableModel extends Pick<OpenedModel, 'manifest' | 'files'> {
  readonly reopen: () => Promise<ModelFiles>
  /** Who may listen to what it does. */
  readonly observer: Observer
}

/** Makes something that serves out of a model's files. */
export type Task = (
  model: LoadableModel,
  device: Device,
  request: LoadRequest,
  onProgress: (progress: LoadProgress) => void,
) => Promise<LoadedModel>

/** Every task that a manifest can name. */
export const TASKS: Readonly<Record<Manifest['task'], Task>> = {
  generate: loadGenerate,
}
