import type { Served } from '@tabserve/engine'
import type {
  CacheFacts,
  KvType,
  LoadProgress,
  LoadReport,
  LoadRequest,
  Manifest,
  RunnerName,
} from '@tabserve/protocol'
import type { Device } from '../backend/device.ts'
import type { OpenedModel } from '../models/opened-model.ts'
import { loadGenerate } from './load-generate.ts'

/** A model that answers, and how it really runs. */
export interface LoadedModel {
  readonly served: Served
  readonly runner: RunnerName
  readonly runnerReason?: string
  readonly contextLength: number
  readonly maxRunning: number
  readonly kvBytes: number
  readonly kvType: KvType
  /** What was found in a foreign graph. */
  readonly cache?: CacheFacts
  readonly heapBytes?: number
  readonly hasChatTemplate: boolean
  readonly report: Pick<LoadReport, 'createMs' | 'warmupMs'>
}

/** Makes something that serves out of a model's files. */
export type Task = (
  model: Pick<OpenedModel, 'manifest' | 'files'>,
  device: Device,
  request: LoadRequest,
  onProgress: (progress: LoadProgress) => void,
) => Promise<LoadedModel>

/** Every task that a manifest can name. */
export const TASKS: Readonly<Record<Manifest['task'], Task>> = {
  generate: loadGenerate,
}
