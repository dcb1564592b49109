import type { Answer } from './api.ts'
import type { HubOrigin, HubSourceRequest } from './hugging-face.ts'
import type { WeightForm } from './manifest.ts'

/** Where weights are kept. */
export type StoreKind = 'indexeddb' | 'opfs' | 'memory'

/**
 * Where a model comes from: the absolute address of its folder, files that the user picked, of which one is `manifest.json`, or a repository of the
 * Hugging Face hub. A repository's address (see `hubAddress`) is an address too.
 */
export type ModelSourceRequest =
  { readonly url: string } | { readonly files: readonly PickedFile[] } | HubSourceRequest

/** A file that the user picked or dropped; its path as they have it. */
export interface PickedFile {
  readonly path: string
  readonly blob: Blob
}

/** A model to be made of a checkpoint: picked files, of which one is a `.gguf`, or which are a folder with config.json and safetensors. */
export interface ConvertRequest {
  readonly files: readonly PickedFile[]
  /** Letters, digits, `.`, `_`, `-`. Default: that of the picked file or folder. */
  readonly name?: string
  /** Letters, digits, `.`, `_`, `-`. Default `1`. */
  readonly version?: string
  /** Default `q4`, the smallest and on the CPU the fastest. */
  readonly weights?: WeightForm
  /** Positions. Default: the checkpoint's, and at most 8192. */
  readonly contextLength?: number
  /** Jinja source, instead of the checkpoint's own. */
  readonly chatTemplate?: string
  /** SPDX identifier. */
  readonly license?: string
  readonly description?: string
}

/** The models of a worker's weight store, loaded or not. Addresses are absolute. Progress of long work comes on `port`, as for `load`. */
export interface ModelsApi {
  listStored(): Promise<Answer<readonly StoredModel[]>>
  storedStatus(source: { readonly url: string } | HubSourceRequest): Promise<Answer<StoredModel>>
  prefetch(source: ModelSourceRequest, port: MessagePort): Promise<Answer<StoredModel>>
  /** Makes a model and keeps it. */
  convert(request: ConvertRequest, port: MessagePort): Promise<Answer<StoredModel>>
  verifyStored(url: string): Promise<Answer<Verification>>
  setPinned(url: string, isPinned: boolean): Promise<Answer<null>>
  evictStored(url: string): Promise<Answer<null>>
  removeStored(url: string): Promise<Answer<null>>
  storage(): Promise<Answer<StorageReport>>
}

/** A model as the weight store has it. */
export interface StoredModel {
  readonly url: string
  /** `name@version`. */
  readonly id: string
  /** `stored`: loads without a request. `partial`: a download was stopped, or lost a piece since. `absent`: nothing is kept. */
  readonly state: 'stored' | 'partial' | 'absent'
  readonly totalBytes: number
  readonly storedBytes: number
  /** What a load or prefetch has to download. */
  readonly missingBytes: number
  /** Never evicted to make room. */
  readonly isPinned: boolean
  /** Last load or prefetch, in milliseconds since 1970. Absent: never. */
  readonly usedAt?: number
  /** Of a repository of the Hugging Face hub: the commit, the dtype and why, what else there is. */
  readonly hub?: HubOrigin
}

/** What reading a stored model again has found. Chunks that had rotted are fetched again by the next load. */
export interface Verification {
  readonly isRight: boolean
  readonly checkedBytes: number
  /** Files of which something is missing or wrong. */
  readonly damaged: readonly string[]
}

/** What the browser keeps of this origin. */
export interface StorageReport {
  readonly kind: StoreKind
  /** Bytes of weights and saved sessions. */
  readonly usedBytes: number
  readonly budgetBytes?: number
  /** Of everything that this origin keeps, as the browser estimates. */
  readonly originBytes?: number
  /** What the browser promises; real disks are fuller. */
  readonly quotaBytes?: number
  /** Whether the browser has agreed not to clear it on its own. */
  readonly isPersistent: boolean
}

/** Why a model's weights are not kept. It works all the same, and is fetched again next time. */
export interface StorageWarning {
  /** `budget`: larger than what may be kept. `quota`: the browser has no room. `unavailable`: no lasting store. `failed`: the store broke. */
  readonly reason: 'budget' | 'quota' | 'unavailable' | 'failed'
  readonly message: string
}
